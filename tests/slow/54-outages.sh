#!/bin/bash
# SPDX-License-Identifier: MIT
# A minute with an IDE disk, whose driver is impatient, and ten with a virtio one; each twice.
OUTAGE=60 bash tests/54-boot-outages.sh && GUEST=tiny OUTAGE=${OUTAGE:-600} exec bash tests/54-boot-outages.sh
