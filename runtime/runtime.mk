# SPDX-License-Identifier: BSD-2-Clause
MBR_RUNTIME_SOURCES = \
    runtime/column.c \
    runtime/column.h \
    runtime/csv.c \
    runtime/csv.h \
    runtime/decide.c \
    runtime/decide_rows.c \
    runtime/decider.h \
    runtime/drift/drift_action.c \
    runtime/drift/drift_baseline.c \
    runtime/drift/drift_concept.c \
    runtime/drift/drift_concept.h \
    runtime/drift/drift_file.c \
    runtime/drift/drift_file.h \
    runtime/drift/drift_impl.h \
    runtime/drift/drift_judge.c \
    runtime/drift/drift_monitor.c \
    runtime/drift/drift_pipeline.c \
    runtime/drift/drift_pipeline.h \
    runtime/drift/drift_report.c \
    runtime/drift/drift_report_json.c \
    runtime/drift/drift_rows.c \
    runtime/drift/drift_sketch.h \
    runtime/drift/drift_state.c \
    runtime/drift/drift_stats.h \
    runtime/expr.c \
    runtime/expr.h \
    runtime/image/image.c \
    runtime/image/image_impl.h \
    runtime/image/image_open.c \
    runtime/jsonl.c \
    runtime/jsonl.h \
    runtime/node.c \
    runtime/node.h \
    runtime/pipeline.c \
    runtime/pipeline_describe.c \
    runtime/pipeline_impl.h \
    runtime/pipeline_model.c \
    runtime/pipeline_yaml.c \
    runtime/step.h \
    runtime/step_category.c \
    runtime/step_number.c \
    runtime/step_time.c \
    runtime/steps.c \
    runtime/text.c \
    runtime/text.h

# Loops over values: fast rather than small.
MBR_RUNTIME_FAST = \
    runtime/drift/drift_fit.c \
    runtime/drift/drift_sketch.c \
    runtime/drift/drift_stats.c \
    runtime/drift/drift_window.c \
    runtime/image/image_colour.c \
    runtime/image/image_geometry.c \
    runtime/image/image_resize.c \
    runtime/image/image_tensor.c \
    runtime/image/resize_opencv.c \
    runtime/image/resize_pillow.c

# Loops over text: for speed, not for size.
MBR_TOKENIZER_SOURCES = \
    runtime/tokenizer/added.c \
    runtime/tokenizer/aligned_text.c \
    runtime/tokenizer/bpe.c \
    runtime/tokenizer/cache.c \
    runtime/tokenizer/decode.c \
    runtime/tokenizer/json.c \
    runtime/tokenizer/json.h \
    runtime/tokenizer/load.c \
    runtime/tokenizer/load.h \
    runtime/tokenizer/load_model.c \
    runtime/tokenizer/normalize.c \
    runtime/tokenizer/regex.c \
    runtime/tokenizer/regex.h \
    runtime/tokenizer/regex_translate.c \
    runtime/tokenizer/post.c \
    runtime/tokenizer/pretokenize.c \
    runtime/tokenizer/encoding.c \
    runtime/tokenizer/tokenizer_impl.h \
    runtime/tokenizer/trie.c \
    runtime/tokenizer/trie.h \
    runtime/tokenizer/unicode.c \
    runtime/tokenizer/unicode.h \
    runtime/tokenizer/unicode_flags.h \
    runtime/tokenizer/unicode_tables.h \
    runtime/tokenizer/unigram.c \
    runtime/tokenizer/vocab.c \
    runtime/tokenizer/wordpiece.c
