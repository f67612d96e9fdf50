# SPDX-License-Identifier: BSD-2-Clause
MBR_RUNTIME_SOURCES = \
    runtime/deadline/bill.c \
    runtime/deadline/clock.h \
    runtime/deadline/deadline.c \
    runtime/deadline/deadline.h \
    runtime/deadline/hdr.h \
    runtime/deadline/report.c \
    runtime/actions/actions.h \
    runtime/actions/actions_read.c \
    runtime/actions/decisions.c \
    runtime/actions/line.h \
    runtime/actions/limits.c \
    runtime/actions/limits.h \
    runtime/actions/log.c \
    runtime/actions/log.h \
    runtime/actions/replay.c \
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
    runtime/image/image.c \
    runtime/image/image_impl.h \
    runtime/image/image_open.c \
    runtime/keyed/aggregate.h \
    runtime/keyed/series.h \
    runtime/keyed/snapshot.c \
    runtime/keyed/store.h \
    runtime/pipeline/column.c \
    runtime/pipeline/column.h \
    runtime/pipeline/decide.c \
    runtime/pipeline/decide_model.c \
    runtime/pipeline/decide_rows.c \
    runtime/pipeline/decide_rules.c \
    runtime/pipeline/decide_tensor.c \
    runtime/pipeline/decider.h \
    runtime/pipeline/element.h \
    runtime/pipeline/expr.c \
    runtime/pipeline/expr.h \
    runtime/pipeline/node.c \
    runtime/pipeline/node.h \
    runtime/pipeline/pipeline.c \
    runtime/pipeline/pipeline_describe.c \
    runtime/pipeline/pipeline_impl.h \
    runtime/pipeline/pipeline_model.c \
    runtime/pipeline/pipeline_rules.c \
    runtime/pipeline/pipeline_yaml.c \
    runtime/post/npy.c \
    runtime/post/post.h \
    runtime/post/reasons.c \
    runtime/post/reasons.h \
    runtime/rows/csv.c \
    runtime/rows/csv.h \
    runtime/rows/jsonl.c \
    runtime/rows/jsonl.h \
    runtime/rows/text.c \
    runtime/rows/text.h \
    runtime/rows/words.c \
    runtime/rows/words.h \
    runtime/steps/step.h \
    runtime/steps/step_aggregate.c \
    runtime/steps/step_category.c \
    runtime/steps/step_image.c \
    runtime/steps/step_keyed.c \
    runtime/steps/step_keyed.h \
    runtime/steps/step_number.c \
    runtime/steps/step_post.c \
    runtime/steps/step_post.h \
    runtime/steps/step_post_boxes.c \
    runtime/steps/step_post_sequence.c \
    runtime/steps/step_post_vector.c \
    runtime/steps/step_sensor.c \
    runtime/steps/step_tensor.c \
    runtime/steps/step_text.c \
    runtime/steps/step_time.c \
    runtime/steps/steps.c

# Loops over values: fast rather than small.
MBR_RUNTIME_FAST = \
    runtime/deadline/clock.c \
    runtime/deadline/hdr.c \
    runtime/actions/line.c \
    runtime/actions/record.c \
    runtime/drift/drift_fit.c \
    runtime/drift/drift_sketch.c \
    runtime/drift/drift_stats.c \
    runtime/drift/drift_window.c \
    runtime/image/image_colour.c \
    runtime/image/image_geometry.c \
    runtime/image/image_resize.c \
    runtime/image/image_tensor.c \
    runtime/image/resize_opencv.c \
    runtime/image/resize_pillow.c \
    runtime/keyed/aggregate.c \
    runtime/keyed/series.c \
    runtime/keyed/store.c

MBR_RUNTIME_FAST += \
    runtime/post/boxes.c \
    runtime/post/ctc.c \
    runtime/post/scores.c \
    runtime/post/vectors.c

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
