#!/bin/bash
# SPDX-License-Identifier: MIT
# The same by every signal, and by SIGKILL at random moments.
SIGNALS='INT TERM HUP KILL' MOMENTS=${MOMENTS:-20} exec bash tests/25-nxpack-ended.sh
