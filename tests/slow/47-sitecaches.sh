#!/bin/bash
# SPDX-License-Identifier: MIT
# The same, where all eight clients boot.
BOOTING=8 exec bash tests/47-sitecaches.sh
