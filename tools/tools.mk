# SPDX-License-Identifier: BSD-2-Clause
# The program sees the public headers only, and carries the library inside, so that it starts fast.
bin_PROGRAMS += mbr
mbr_SOURCES = \
    tools/bench.c \
    tools/command.h \
    tools/compare.c \
    tools/compile.c \
    tools/data.c \
    tools/files.c \
    tools/info.c \
    tools/loaded.c \
    tools/mbr.c \
    tools/plan.c \
    tools/plan.h \
    tools/plan_devices.c \
    tools/plan_picture.c \
    tools/profile.c \
    tools/profile.h \
    tools/profile_html.c \
    tools/profile_trace.c \
    tools/progress.c \
    tools/run.c \
    tools/test.c
if MBR_RUNTIME
mbr_SOURCES += tools/audio.c tools/pre.c
mbr_SOURCES += tools/decide.c tools/drift.c tools/explain.c tools/image.c tools/policy.c tools/replay.c tools/tokenize.c
endif
mbr_CPPFLAGS = -I$(top_builddir) -I$(top_srcdir) -I$(top_srcdir)/include $(JANSSON_CFLAGS)
mbr_LDFLAGS = $(AM_LDFLAGS) -static-libtool-libs
mbr_LDADD = libmbr.la $(JANSSON_LIBS) $(LIBM)
