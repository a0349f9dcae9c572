#!/bin/bash
# SPDX-License-Identifier: MIT
# The same, and then for good.
FOR_GOOD=yes exec bash tests/55-replaced.sh
