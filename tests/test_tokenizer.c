/* SPDX-License-Identifier: BSD-2-Clause */
/* Tokenizers that are small enough to see what is due, refusals, and allocations that fail one by one. */
#include "base/env.h"
#include "mbr/tokenizer.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mbr_env *env;

static void setup(void)
{
    mbr_env_options o = { .size = sizeof o, .threads = 1 };
    ck_assert_int_eq(mbr_env_new(&o, &env, NULL), MBR_OK);
}

static void teardown(void)
{
    mbr_env_release(&env);
}

#define BEFORE "{\"version\": \"1.0\", \"added_tokens\": ["
#define ADDED                                                                                                          \
    "{\"id\": 0, \"content\": \"<x>\", \"single_word\": false, \"lstrip\": true, \"rstrip\": false, "                  \
    "\"normalized\": false, \"special\": true}"
#define WORDPIECE                                                                                                      \
    BEFORE ADDED "], \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, \"decoder\": {\"type\": \"WordPiece\", "      \
    "\"prefix\": \"##\", \"cleanup\": true}, \"model\": {\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", "          \
    "\"continuing_subword_prefix\": \"##\", \"max_input_chars_per_word\": 12, \"vocab\": {\"[UNK]\": 0, \"un\": 1, "   \
    "\"##aff\": 2, \"##able\": 3, \"a\": 4, \"##a\": 5, \",\": 6}}}"
#define BYTES                                                                                                          \
    BEFORE "], \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true}, "    \
    "\"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true}, "                    \
    "\"post_processor\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true}, "             \
    "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"\\u0120\": 2, \"ab\": 3, \"\\u0120ab\": 4, "      \
    "\"\\u00c3\": 5, \"\\u00a9\": 6, \"\\u0100\": 7}, \"merges\": [\"a b\", \"\\u0120 ab\"]}}"
#define UNIGRAM                                                                                                        \
    BEFORE "], \"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"\\u2581\"}, \"decoder\": "               \
    "{\"type\": \"Metaspace\", \"replacement\": \"\\u2581\"}, \"model\": {\"type\": \"Unigram\", \"unk_id\": 0, "      \
    "\"vocab\": [[\"<unk>\", 0], [\"\\u2581\", -2], [\"a\", -1], [\"aa\", -1.5], [\"\\u2581a\", -2.25]]}}"

static mbr_tokenizer *open_text(const char *text)
{
    mbr_tokenizer *t;
    mbr_error err;
    mbr_status st = mbr_tokenizer_open_memory(env, text, strlen(text), "test.json", NULL, &t, &err);
    ck_assert_msg(st == MBR_OK, "%s", err.text);
    return t;
}

/* ids and offsets as text. */
static void expect(const char *file, const char *text, size_t size, const mbr_encode_options *o, const char *due)
{
    mbr_tokenizer *t = open_text(file);
    mbr_encoding *e;
    mbr_error err;
    mbr_token_list list = { .size = sizeof list };
    char got[512] = "";
    size_t n = 0;
    ck_assert_int_eq(mbr_encoding_new(t, &e, &err), MBR_OK);
    for (int round = 0; round < 2; round++) { /* the second time from the cache */
        mbr_status st = mbr_encoding_encode(e, text, size, NULL, 0, o, &err);
        ck_assert_msg(st == MBR_OK, "%s", err.text);
        ck_assert_int_eq(mbr_encoding_get(e, 0, &list), MBR_OK);
        n = 0;
        got[0] = '\0';
        for (size_t i = 0; i < list.count; i++)
            n += (size_t)snprintf(got + n, sizeof got - n, "%s%u:%u-%u", i ? " " : "", list.ids[i], list.offsets[i].begin,
                                  list.offsets[i].end);
        ck_assert_str_eq(got, due);
    }
    mbr_encoding_release(&e);
    mbr_tokenizer_release(&t);
}

static void expect_text(const char *file, const uint32_t *ids, size_t count, int skip, const char *due)
{
    mbr_tokenizer *t = open_text(file);
    mbr_encoding *e;
    const char *text;
    size_t bytes;
    ck_assert_int_eq(mbr_encoding_new(t, &e, NULL), MBR_OK);
    ck_assert_int_eq(mbr_encoding_decode(e, ids, count, skip, &text, &bytes, NULL), MBR_OK);
    ck_assert_str_eq(text, due);
    ck_assert_uint_eq(bytes, strlen(due));
    mbr_encoding_release(&e);
    mbr_tokenizer_release(&t);
}

START_TEST(small_tokenizers_give_what_is_due)
{
    mbr_encode_options chars = { .size = sizeof chars, .char_offsets = 1 };
    expect(WORDPIECE, "unaffable, aaz  <x>", 19, NULL, "1:0-2 2:2-5 3:5-9 6:9-10 0:11-14 7:14-19");
    expect(WORDPIECE, "aaaaaaaaaaaaaa", 14, NULL, "0:0-14");
    expect(WORDPIECE, "", 0, NULL, "");
    expect(BYTES, "ab ab\xc3\xa9", 7, NULL, "3:0-2 4:3-5 5:5-7 6:5-7");
    expect(BYTES, "\xc3\xa9\xc3\xa9 ab", 7, &chars, "5:0-1 6:0-1 5:1-2 6:1-2 4:3-5");
    expect(BYTES, "a\0b", 3, NULL, "0:0-1 7:1-2 1:2-3");
    expect(UNIGRAM, "aaa a", 5, NULL, "4:0-1 3:1-3 4:3-5");
    expect(UNIGRAM, "xy", 2, NULL, "1:0-1 0:0-2");
}
END_TEST

START_TEST(text_comes_back)
{
    static const uint32_t words[] = { 1, 2, 3, 6, 4, 7, 99 }, bytes[] = { 3, 4, 5, 6, 5 }, pieces[] = { 4, 3, 4 };
    expect_text(WORDPIECE, words, 7, 0, "unaffable, a <x>");
    expect_text(WORDPIECE, words, 7, 1, "unaffable, a");
    expect_text(BYTES, bytes, 5, 0, "ab ab\xc3\xa9\xef\xbf\xbd");
    expect_text(UNIGRAM, pieces, 3, 0, "aaa a");
}
END_TEST

START_TEST(broken_text_is_repaired_or_refused)
{
    static const char broken[] = "ab\xe2\x82 \xff";
    mbr_encode_options refuse = { .size = sizeof refuse, .refuse_invalid = 1 };
    mbr_tokenizer *t = open_text(UNIGRAM);
    mbr_encoding *e;
    mbr_error err;
    mbr_token_list list = { .size = sizeof list };
    ck_assert_int_eq(mbr_encoding_new(t, &e, &err), MBR_OK);
    ck_assert_int_eq(mbr_encoding_encode(e, broken, 6, NULL, 0, &refuse, &err), MBR_ERR_INPUT);
    ck_assert_uint_eq(mbr_encoding_count(e), 0);
    ck_assert_int_eq(mbr_encoding_get(e, 0, &list), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_encoding_encode(e, broken, 6, NULL, 0, NULL, &err), MBR_OK);
    ck_assert_int_eq(mbr_encoding_get(e, 0, &list), MBR_OK);
    ck_assert_uint_gt(list.count, 0);
    ck_assert_uint_eq(list.offsets[list.count - 1].end, 9); /* of "ab" U+FFFD " " U+FFFD */
    mbr_encoding_release(&e);
    mbr_tokenizer_release(&t);
}
END_TEST

START_TEST(bad_files_are_refused)
{
    static const struct {
        const char *text;
        mbr_status status;
        const char *says;
    } bad[] = {
        { "", MBR_ERR_FORMAT, "test.json:1:" },
        { "{\"a\": 1", MBR_ERR_FORMAT, "test.json:1: not valid JSON" },
        { "{\"a\":\n\n nul}", MBR_ERR_FORMAT, "test.json:3:" },
        { "{\"a\": \"\xff\"}", MBR_ERR_FORMAT, "UTF-8" },
        { "{\"a\": \"\\ud800\"}", MBR_ERR_FORMAT, "surrogate" },
        { "{\"a\": NaN}", MBR_ERR_FORMAT, "value" },
        { "[]", MBR_ERR_MODEL, "tokenizer.json?" },
        { "{}", MBR_ERR_MODEL, "model" },
        { "{\"version\": \"2.0\", \"model\": {}}", MBR_ERR_UNSUPPORTED, "1.0" },
        { "{\"model\": {\"type\": \"X\"}}", MBR_ERR_UNSUPPORTED, "'X'" },
        { "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": -1}, \"merges\": []}}", MBR_ERR_MODEL, "'a'" },
        { "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 4000000000}, \"merges\": []}}", MBR_ERR_LIMIT, "4000000000" },
        { "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 1}, \"merges\": [\"a b\"]}}", MBR_ERR_MODEL, "merge 0" },
        { "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 1}, \"merges\": [\"a a\"]}}", MBR_ERR_MODEL, "merge 0" },
        { "{\"model\": {\"type\": \"BPE\", \"dropout\": 0.5, \"vocab\": {}, \"merges\": []}}", MBR_ERR_UNSUPPORTED, "dropout" },
        { "{\"model\": {\"type\": \"Unigram\", \"unk_id\": 1, \"vocab\": [[\"a\", 1]]}}", MBR_ERR_MODEL, "unk_id" },
        { "{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", 1e999]]}}", MBR_ERR_MODEL, "entry 0" },
        { "{\"model\": {\"type\": \"Unigram\", \"vocab\": []}, \"normalizer\": {\"type\": \"Y\"}}", MBR_ERR_UNSUPPORTED, "'Y'" },
        { "{\"model\": {\"type\": \"Unigram\", \"vocab\": []}, \"normalizer\": {\"type\": \"Precompiled\", "
          "\"precompiled_charsmap\": \"AAAAEAA=\"}}", MBR_ERR_MODEL, "cut off" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mbr_tokenizer *t;
        mbr_error err = { 0 };
        mbr_status st = mbr_tokenizer_open_memory(env, bad[i].text, strlen(bad[i].text), "test.json", NULL, &t, &err);
        ck_assert_msg(st == bad[i].status, "%s: %d %s", bad[i].text, st, err.text);
        ck_assert_msg(strstr(err.text, bad[i].says) != NULL, "%s: %s", bad[i].text, err.text);
        ck_assert_ptr_null(t);
    }
    char deep[512];
    mbr_tokenizer *t;
    memset(deep, '[', sizeof deep);
    ck_assert_int_eq(mbr_tokenizer_open_memory(env, deep, sizeof deep, "deep", NULL, &t, NULL), MBR_ERR_FORMAT);
    ck_assert_int_eq(mbr_tokenizer_open(env, "/nonexistent.json", NULL, &t, NULL), MBR_ERR_IO);
}
END_TEST

START_TEST(allocations_fail_one_by_one)
{
    static const char *const files[] = { WORDPIECE, BYTES, UNIGRAM };
    mbr_memory *memory = mbr_env_heap(env);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t before = atomic_load(&memory->in_use);
        mbr_status st = MBR_ERR_NO_MEMORY;
        for (long n = 0; st != MBR_OK; n++) {
            mbr_tokenizer *t = NULL;
            mbr_encoding *e = NULL;
            const char *text;
            size_t bytes;
            static const uint32_t ids[] = { 1, 2, 3 };
            ck_assert_int_lt(n, 1000);
            atomic_store(&memory->fail_after, n);
            st = mbr_tokenizer_open_memory(env, files[i], strlen(files[i]), "test.json", NULL, &t, NULL);
            if (st == MBR_OK)
                st = mbr_encoding_new(t, &e, NULL);
            if (st == MBR_OK)
                st = mbr_encoding_encode(e, "ab \xc3\xa9\xff unaffable a", 18, "a b", 3, NULL, NULL);
            if (st == MBR_OK)
                st = mbr_encoding_decode(e, ids, 3, 0, &text, &bytes, NULL);
            ck_assert(st == MBR_OK || st == MBR_ERR_NO_MEMORY || st == MBR_ERR_RUN);
            if (st == MBR_ERR_RUN)
                st = MBR_OK;
            atomic_store(&memory->fail_after, -1);
            mbr_encoding_release(&e);
            mbr_tokenizer_release(&t);
            ck_assert_uint_eq(atomic_load(&memory->in_use), before);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tokenizer");
    TCase *c = tcase_create("tokenizer");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, small_tokenizers_give_what_is_due);
    tcase_add_test(c, text_comes_back);
    tcase_add_test(c, broken_text_is_repaired_or_refused);
    tcase_add_test(c, bad_files_are_refused);
    tcase_add_test(c, allocations_fail_one_by_one);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
