# SPDX-License-Identifier: BSD-2-Clause
MBR_RUNTIME_SOURCES = \
    runtime/column.c \
    runtime/column.h \
    runtime/csv.c \
    runtime/csv.h \
    runtime/decide.c \
    runtime/decide_rows.c \
    runtime/decider.h \
    runtime/expr.c \
    runtime/expr.h \
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
