#!/bin/bash
# SPDX-License-Identifier: MIT
# nxfetch killed fifty times, and fifty power cuts.
KILLS=50 CUTS=50 exec bash tests/43-nxfetch-killed.sh
