# SPDX-License-Identifier: BSD-2-Clause
MBR_IMPORTERS_SOURCES =

# Generated in the build folder, included as "importers/onnx/onnx.pb-c.h". An importer that uses it adds:
#   EXTRA_DIST += importers/onnx/onnx.proto
#   BUILT_SOURCES += importers/onnx/onnx.pb-c.h
#   CLEANFILES += importers/onnx/onnx.pb-c.c importers/onnx/onnx.pb-c.h
#   nodist_libmbr_core_la_SOURCES += importers/onnx/onnx.pb-c.c importers/onnx/onnx.pb-c.h
importers/onnx/onnx.pb-c.c: importers/onnx/onnx.proto
	$(AM_V_GEN)$(MKDIR_P) importers/onnx && $(PROTOC_C) --proto_path=$(top_srcdir) --c_out=. importers/onnx/onnx.proto
importers/onnx/onnx.pb-c.h: importers/onnx/onnx.pb-c.c
