#!/bin/bash
# SPDX-License-Identifier: MIT
# Flipped bits in the cache's database, three hundred times; not only in the eight ways of every check.
FLIPS=300 exec "${BUILD:-build/gcc}/test-cache"
