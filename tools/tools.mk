# SPDX-License-Identifier: BSD-2-Clause
# The program sees the public headers only, and carries the library inside, so that it starts fast:
#   bin_PROGRAMS += mbr
#   mbr_SOURCES = tools/...
#   mbr_CPPFLAGS = -I$(top_srcdir) -I$(top_srcdir)/include $(JANSSON_CFLAGS)
#   mbr_LDFLAGS = $(AM_LDFLAGS) -static-libtool-libs
#   mbr_LIBTOOLFLAGS =
#   mbr_LDADD = libmbr.la $(JANSSON_LIBS)
