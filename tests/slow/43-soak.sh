#!/bin/bash
# SPDX-License-Identifier: MIT
# The same for ten minutes, or MINUTES.
SOAK=$((${MINUTES:-10} * 60)) exec bash tests/43-soak.sh
