# SPDX-License-Identifier: BSD-2-Clause
MBR_IMPORTERS_SOURCES = \
    importers/importer.c \
    importers/importer.h \
    importers/onnx/onnx_attr.c \
    importers/onnx/onnx_graph.c \
    importers/onnx/onnx_import.h \
    importers/onnx/onnx_model.c \
    importers/onnx/onnx_model.h \
    importers/onnx/onnx_names.c \
    importers/onnx/onnx_names.h \
    importers/onnx/onnx_order.c \
    importers/onnx/onnx_spans.h \
    importers/onnx/onnx_tensor.c \
    importers/onnx/onnx_tensor.h \
    importers/onnx/onnx_types.c \
    importers/onnx/prescan.h \
    importers/onnx/tensor_pb.c \
    importers/onnx/tensor_pb.h

# They look at each byte: compiled for speed.
MBR_IMPORTERS_FAST = importers/onnx/onnx_spans.c importers/onnx/prescan.c

# Generated in the build folder, included as "importers/onnx/onnx.pb-c.h".
EXTRA_DIST += importers/onnx/onnx.proto
BUILT_SOURCES += importers/onnx/onnx.pb-c.c importers/onnx/onnx.pb-c.h
CLEANFILES += importers/onnx/onnx.pb-c.c importers/onnx/onnx.pb-c.h
nodist_libmbr_core_la_SOURCES += importers/onnx/onnx.pb-c.c importers/onnx/onnx.pb-c.h
importers/onnx/onnx.pb-c.c: importers/onnx/onnx.proto
	$(AM_V_GEN)$(MKDIR_P) importers/onnx && $(PROTOC_C) --proto_path=$(top_srcdir) --c_out=. importers/onnx/onnx.proto
importers/onnx/onnx.pb-c.h: importers/onnx/onnx.pb-c.c
