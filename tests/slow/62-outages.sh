#!/bin/bash
# SPDX-License-Identifier: MIT
# The same outages, each of a minute.
OUTAGE=60 exec bash tests/62-resume-faults.sh
