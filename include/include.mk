# SPDX-License-Identifier: BSD-2-Clause
# The public headers: all that is installed.
mbrinclude_HEADERS = \
    include/mbr/aggregates.h \
    include/mbr/audio.h \
    include/mbr/custom.h \
    include/mbr/deadline.h \
    include/mbr/decision_log.h \
    include/mbr/drift.h \
    include/mbr/dtype.h \
    include/mbr/env.h \
    include/mbr/explain.h \
    include/mbr/image.h \
    include/mbr/mbr.h \
    include/mbr/model.h \
    include/mbr/onnx.h \
    include/mbr/pipeline.h \
    include/mbr/plan.h \
    include/mbr/plugin.h \
    include/mbr/policy.h \
    include/mbr/post.h \
    include/mbr/session.h \
    include/mbr/status.h \
    include/mbr/tokenizer.h \
    include/mbr/value.h
