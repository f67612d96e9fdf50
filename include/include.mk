# SPDX-License-Identifier: BSD-2-Clause
# The public headers: all that is installed.
mbrinclude_HEADERS = \
    include/mbr/dtype.h \
    include/mbr/status.h
