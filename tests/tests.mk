# SPDX-License-Identifier: BSD-2-Clause
# A unit test is one line when it is one file of the same name (tests/test_x: tests/test_x.c); else add its
# tests_test_x_SOURCES. Tests link libmbr_all.la and may look inside.
LDADD = libmbr_all.la $(CHECK_LIBS)

# Need the Check library.
MBR_UNIT_TESTS = \
    tests/test_alloc \
    tests/test_api \
    tests/test_base \
    tests/test_cache \
    tests/test_control \
    tests/test_cpu \
    tests/test_custom \
    tests/test_determinism \
    tests/test_dft \
    tests/test_dim \
    tests/test_dynamic \
    tests/test_elementwise \
    tests/test_filemap \
    tests/test_frame \
    tests/test_half \
    tests/test_index \
    tests/test_ir \
    tests/test_numa \
    tests/test_numbers \
    tests/test_onnx_import \
    tests/test_onnx_prescan \
    tests/test_onnx_value \
    tests/test_ops_bad \
    tests/test_ops_contrib \
    tests/test_ops_image \
    tests/test_ops_shapes \
    tests/test_forests \
    tests/test_ops_trees \
    tests/test_ops_values \
    tests/test_passes \
    tests/test_profile \
    tests/test_rounds \
    tests/test_sessions \
    tests/test_rules \
    tests/test_team \
    tests/test_text \
    tests/test_topology \
    tests/test_value
tests_test_alloc_SOURCES = tests/test_alloc.c tests/ir_text.h tests/random.h
tests_test_api_SOURCES = tests/test_api.c tests/onnx_writer.h
tests_test_control_SOURCES = tests/test_control.c tests/ir_text.h tests/random.h
tests_test_cpu_SOURCES = tests/test_cpu.c tests/ir_text.h tests/random.h
tests_test_custom_SOURCES = tests/test_custom.c tests/onnx_writer.h
tests_test_determinism_SOURCES = tests/test_determinism.c tests/ir_text.h tests/random.h
tests_test_dft_SOURCES = tests/test_dft.c tests/random.h
tests_test_dim_SOURCES = tests/test_dim.c tests/random.h
tests_test_frame_SOURCES = tests/test_frame.c tests/ir_team.h tests/ir_text.h tests/random.h
tests_test_ir_SOURCES = tests/test_ir.c tests/ir_text.h tests/random.h
tests_test_passes_SOURCES = tests/test_passes.c tests/ir_text.h tests/random.h
EXTRA_DIST += tests/passes tests/payments
tests_test_profile_SOURCES = tests/test_profile.c tests/ir_team.h tests/ir_text.h tests/onnx_writer.h tests/random.h
tests_test_sessions_SOURCES = tests/test_sessions.c tests/onnx_writer.h tests/threads.h
tests_test_team_SOURCES = tests/test_team.c tests/threads.h
tests_test_text_SOURCES = tests/test_text.c tests/ir_text.h tests/random.h
tests_test_numa_SOURCES = tests/test_numa.c tests/ir_text.h tests/random.h
tests_test_numbers_SOURCES = tests/test_numbers.c tests/ir_team.h tests/ir_text.h tests/random.h
tests_test_onnx_import_SOURCES = tests/test_onnx_import.c tests/onnx_writer.h
tests_test_onnx_prescan_SOURCES = tests/test_onnx_prescan.c tests/onnx_writer.h
tests_test_onnx_value_SOURCES = tests/test_onnx_value.c tests/onnx_writer.h
tests_test_ops_contrib_SOURCES = tests/test_ops_contrib.c tests/ir_text.h tests/random.h
tests_test_ops_image_SOURCES = tests/test_ops_image.c tests/ir_text.h tests/random.h
tests_test_forests_SOURCES = tests/test_forests.c tests/onnx_writer.h tests/random.h
tests_test_ops_trees_SOURCES = tests/test_ops_trees.c tests/onnx_writer.h
tests_test_ops_values_SOURCES = tests/test_ops_values.c tests/ir_text.h tests/random.h
tests_test_ops_bad_SOURCES = tests/test_ops_bad.c tests/ir_text.h tests/random.h
tests_test_dynamic_SOURCES = tests/test_dynamic.c tests/ir_text.h tests/random.h
tests_test_rounds_SOURCES = tests/test_rounds.c tests/ir_text.h tests/random.h

if HAVE_OPENCL
MBR_UNIT_TESTS += tests/test_opencl_device tests/test_opencl_threads
endif
tests_test_opencl_device_SOURCES = tests/test_opencl_device.c tests/ir_text.h tests/opencl_leaks.h tests/random.h
tests_test_opencl_threads_SOURCES = tests/test_opencl_threads.c tests/ir_text.h tests/opencl_leaks.h tests/random.h

if MBR_RUNTIME
MBR_UNIT_TESTS += \
    tests/test_aggregates \
    tests/test_audio \
    tests/test_actions \
    tests/test_deadline \
    tests/test_drift \
    tests/test_drift_power \
    tests/test_drift_sketch \
    tests/test_explain \
    tests/test_image \
    tests/test_keyed \
    tests/test_log_writes \
    tests/test_pipeline \
    tests/test_pipeline_expr \
    tests/test_pipeline_state \
    tests/test_pipeline_steps \
    tests/test_pipeline_tensors \
    tests/test_pipeline_text \
    tests/test_post \
    tests/test_reasons \
    tests/test_replay \
    tests/test_steps_keyed \
    tests/test_tokenizer
endif
tests_test_actions_SOURCES = tests/test_actions.c tests/onnx_writer.h tests/pipeline_file.h tests/pipeline_folder.h \
    tests/random.h
tests_test_aggregates_SOURCES = tests/test_aggregates.c tests/random.h
tests_test_audio_SOURCES = tests/test_audio.c tests/random.h
tests_test_deadline_SOURCES = tests/test_deadline.c tests/onnx_writer.h tests/random.h
tests_test_drift_SOURCES = tests/test_drift.c tests/random.h
tests_test_drift_power_SOURCES = tests/test_drift_power.c tests/random.h
tests_test_drift_sketch_SOURCES = tests/test_drift_sketch.c tests/random.h
tests_test_post_SOURCES = tests/test_post.c tests/pipeline_rows.h tests/random.h
tests_test_explain_SOURCES = tests/test_explain.c tests/onnx_writer.h tests/random.h
tests_test_log_writes_SOURCES = tests/test_log_writes.c tests/onnx_writer.h tests/pipeline_file.h \
    tests/pipeline_folder.h
tests_test_keyed_SOURCES = tests/test_keyed.c tests/random.h
tests_test_steps_keyed_SOURCES = tests/test_steps_keyed.c tests/pipeline_rows.h tests/random.h
tests_test_pipeline_expr_SOURCES = tests/test_pipeline_expr.c tests/pipeline_rows.h
tests_test_pipeline_state_SOURCES = tests/test_pipeline_state.c tests/onnx_writer.h tests/pipeline_file.h
tests_test_pipeline_tensors_SOURCES = tests/test_pipeline_tensors.c tests/onnx_writer.h tests/pipeline_file.h
tests_test_replay_SOURCES = tests/test_replay.c tests/onnx_writer.h tests/pipeline_file.h tests/pipeline_folder.h \
    tests/random.h
tests_test_pipeline_steps_SOURCES = tests/test_pipeline_steps.c tests/pipeline_rows.h

# Need nothing but the library.
MBR_PLAIN_TESTS = \
    tests/fuzz/check-fuzz-onnx \
    tests/fuzz/check-fuzz-run \
    tests/check-opencl \
    tests/kernels/check-kernels
tests_check_opencl_SOURCES = tests/check_opencl.c tests/opencl.def tests/opencl_leaks.h tests/random.h
tests_check_opencl_LDADD = libmbr_all.la
tests_kernels_check_kernels_SOURCES = tests/kernels/check_main.c $(MBR_CHECK_KERNELS)
tests_kernels_check_kernels_LDADD = libmbr_all.la
# They replay the seed corpus and mutations of it; with a fuzzer, link fuzz_onnx.c or fuzz_run.c alone.
tests_fuzz_check_fuzz_onnx_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_onnx.c tests/fuzz/fuzz.h
tests_fuzz_check_fuzz_onnx_LDADD = libmbr_all.la
tests_fuzz_check_fuzz_run_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_run.c tests/fuzz/fuzz.h
tests_fuzz_check_fuzz_run_LDADD = libmbr_all.la
EXTRA_DIST += tests/fuzz/corpus tests/fuzz/make_corpus.py
if MBR_RUNTIME
MBR_PLAIN_TESTS += tests/fuzz/check-fuzz-tokenizer
endif
tests_fuzz_check_fuzz_tokenizer_SOURCES = tests/fuzz/fuzz_tokenizer.c tests/fuzz/replay.c tests/fuzz/fuzz.h
tests_fuzz_check_fuzz_tokenizer_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_CORPUS='"tests/fuzz/tokenizers"'
tests_fuzz_check_fuzz_tokenizer_LDADD = libmbr_all.la
EXTRA_DIST += tests/fuzz/tokenizers tests/tokenizer_equal.py

if MBR_RUNTIME
MBR_PLAIN_TESTS += tests/fuzz/check-fuzz-audio
endif
tests_fuzz_check_fuzz_audio_SOURCES = tests/fuzz/fuzz_audio.c tests/fuzz/replay.c tests/fuzz/fuzz.h
tests_fuzz_check_fuzz_audio_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_CORPUS='"tests/fuzz/sounds"'
tests_fuzz_check_fuzz_audio_LDADD = libmbr_all.la
EXTRA_DIST += tests/fuzz/sounds tests/audio_equal.py tests/tabular_equal.py scripts/sklearn_steps.py
if MBR_RUNTIME
check_PROGRAMS += tests/run_steps
endif
tests_run_steps_LDADD = libmbr_all.la

if MBR_RUNTIME
MBR_PLAIN_TESTS += tests/fuzz/check-fuzz-drift tests/fuzz/check-fuzz-keyed \
    tests/fuzz/check-fuzz-post
endif
if MBR_RUNTIME
MBR_PLAIN_TESTS += tests/fuzz/check-fuzz-decide
endif
tests_fuzz_check_fuzz_decide_SOURCES = tests/fuzz/fuzz_decide.c tests/fuzz/replay.c tests/fuzz/fuzz.h \
    tests/onnx_writer.h
tests_fuzz_check_fuzz_decide_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_CORPUS='"tests/fuzz/decisions"'
tests_fuzz_check_fuzz_decide_LDADD = libmbr_all.la
EXTRA_DIST += tests/fuzz/decisions
tests_fuzz_check_fuzz_post_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_post.c tests/fuzz/fuzz.h
tests_fuzz_check_fuzz_post_LDADD = libmbr_all.la
tests_fuzz_check_fuzz_drift_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_drift.c tests/fuzz/fuzz.h
tests_fuzz_check_fuzz_drift_LDADD = libmbr_all.la
tests_fuzz_check_fuzz_keyed_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_keyed.c tests/fuzz/fuzz.h
tests_fuzz_check_fuzz_keyed_LDADD = libmbr_all.la

# Shell scripts that call the program (through $MBR) or look at the tree; exit 77 is a SKIP.
MBR_SCRIPT_TESTS = \
    tests/test_audio_equal.sh \
    tests/test_auto.sh \
    tests/test_bad_input.sh \
    tests/test_bad_plans.sh \
    tests/test_bad_rows.sh \
    tests/test_compile.sh \
    tests/test_determinism_models.sh \
    tests/test_state_models.sh \
    tests/test_differential.sh \
    tests/test_decision_log.sh \
    tests/test_docs_example.sh \
    tests/test_drift_files.sh \
    tests/test_fusions.sh \
    tests/test_image_equal.sh \
    tests/test_keyed_equal.sh \
    tests/test_products.sh \
    tests/test_plans.sh \
    tests/test_opencl_drivers.sh \
    tests/test_plugin.sh \
    tests/test_tabular_equal.sh \
    tests/test_post_equal.sh \
    tests/test_tokenizer_equal.sh \
    tests/test_tools.sh
# Writes the models that they run on.
check_PROGRAMS += tests/make_models
tests_make_models_SOURCES = tests/make_models.c tests/onnx_writer.h
tests_make_models_LDADD =
EXTRA_DIST += tests/plans tests/program.sh tests/faulty_plugin.c tests/fake_icd.c

# Of the lists above: those that start threads (make check-threads, run under TSan), and those of kernels and
# base (make check-kernels, run under the emulator and once for each CPU tier).
MBR_THREAD_TESTS = tests/test_frame tests/test_numa tests/test_sessions tests/test_team
if HAVE_OPENCL
MBR_THREAD_TESTS += tests/test_opencl_threads
endif
MBR_KERNEL_TESTS = tests/test_base tests/test_cpu tests/test_elementwise tests/test_index tests/test_half tests/kernels/check-kernels

check_PROGRAMS += $(MBR_PLAIN_TESTS)
TESTS += $(MBR_PLAIN_TESTS) $(MBR_SCRIPT_TESTS)
if HAVE_CHECK
check_PROGRAMS += $(MBR_UNIT_TESTS)
TESTS += $(MBR_UNIT_TESTS)
else
TESTS += tests/no-check.sh
endif
EXTRA_DIST += tests/differential/differential.py tests/differential/draw.py tests/differential/graphs.py \
    tests/differential/hostile.py tests/differential/nodes.py tests/differential/nodes_elementwise.py \
    tests/differential/nodes_movement.py tests/differential/nodes_others.py tests/differential/nodes_sums.py \
    tests/differential/nodes_windows.py tests/differential/operators.py tests/differential/oracle.py
EXTRA_DIST += tests/drift_compare.py tests/image_equal.py tests/keyed_equal.py tests/post_equal.py
EXTRA_DIST += $(MBR_SCRIPT_TESTS) tests/no-check.sh tests/conformance-floor.txt

.PHONY: check-threads check-kernels
check-threads:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(MBR_THREAD_TESTS)'
check-kernels:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(MBR_KERNEL_TESTS)'
