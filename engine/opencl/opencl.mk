# SPDX-License-Identifier: BSD-2-Clause
include $(top_srcdir)/engine/opencl/sources.mk
EXTRA_DIST += kernels/opencl/embed $(MBR_OPENCL_KERNELS)
if HAVE_OPENCL
libmbr_glue_la_SOURCES += $(MBR_OPENCL_SOURCES)
nodist_libmbr_glue_la_SOURCES = kernels/opencl/sources.c
BUILT_SOURCES += kernels/opencl/sources.c
CLEANFILES += kernels/opencl/sources.c
kernels/opencl/sources.c: kernels/opencl/embed engine/opencl/sources.mk $(MBR_OPENCL_KERNELS)
	$(AM_V_GEN)$(MKDIR_P) kernels/opencl && cd $(top_srcdir) && sh kernels/opencl/embed $(MBR_OPENCL_KERNELS) \
	    >$(abs_builddir)/$@.new && mv $(abs_builddir)/$@.new $(abs_builddir)/$@
else
EXTRA_DIST += $(MBR_OPENCL_SOURCES)
endif
