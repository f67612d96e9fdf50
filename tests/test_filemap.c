/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "base/filemap.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static mbr_memory memory;
static mbr_error err;
static char folder[] = "/tmp/mbr-filemap-XXXXXX";
static char path[128];

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void setup(void)
{
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    mbr_memory_init(&memory);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    FILE *f = fopen(in_folder("file"), "wb");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < 100000; i++)
        putc(i % 251, f);
    ck_assert_int_eq(fclose(f), 0);
}

static void teardown(void)
{
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
    ck_assert_uint_eq(memory.in_use, 0);
}

START_TEST(maps_and_gives_back)
{
    mbr_filemap m;
    ck_assert_int_eq(mbr_filemap_open(&m, &memory, in_folder("file"), &err), MBR_OK);
    ck_assert(m.mapped);
    ck_assert_uint_eq(m.size, 100000);
    for (size_t i = 0; i < m.size; i++)
        ck_assert_uint_eq(m.data[i], i % 251);
    mbr_filemap_release(&m, m.data, m.size);
    mbr_filemap_release(&m, m.data + 5000, 20000);
    mbr_filemap_release(&m, m.data + m.size, 1);  /* outside: nothing happens */
    mbr_filemap_release(&m, &memory, sizeof memory);
    ck_assert_uint_eq(m.data[99999], 99999 % 251); /* read again */
    ck_assert(mbr_filemap_holds(&m, m.data + 99999, 1));
    ck_assert(!mbr_filemap_holds(&m, m.data + 99999, 2));
    ck_assert(!mbr_filemap_holds(&m, m.data - 1, 1));
    mbr_filemap_close(&m);
    ck_assert_ptr_null(m.data);
    mbr_filemap_close(&m);
}
END_TEST

START_TEST(what_is_no_file)
{
    mbr_filemap m;
    ck_assert_int_eq(mbr_filemap_open(&m, &memory, in_folder("missing"), &err), MBR_ERR_IO);
    ck_assert(strstr(err.text, path) && strstr(err.text, "cannot be opened"));
    ck_assert_int_eq(mbr_filemap_open(&m, &memory, folder, &err), MBR_ERR_IO);
    ck_assert(strstr(err.text, "folder"));
    ck_assert_int_eq(mbr_filemap_open(&m, &memory, "/dev/zero", &err), MBR_ERR_IO);
    ck_assert(strstr(err.text, "neither"));
    fclose(fopen(in_folder("empty"), "w"));
    ck_assert_int_eq(mbr_filemap_open(&m, &memory, path, &err), MBR_ERR_FORMAT);
    ck_assert(strstr(err.text, "empty"));
    if (geteuid() != 0) { /* root reads everything */
        ck_assert_int_eq(chmod(in_folder("file"), 0), 0);
        ck_assert_int_eq(mbr_filemap_open(&m, &memory, path, &err), MBR_ERR_IO);
    }
    ck_assert_ptr_null(m.data);
    mbr_filemap_close(&m);
}
END_TEST

START_TEST(a_pipe_is_read)
{
    int ends[2];
    char name[32];
    mbr_filemap m;
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(write(ends[1], "model", 5), 5);
    close(ends[1]);
    snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
    ck_assert_msg(mbr_filemap_open(&m, &memory, name, &err) == MBR_OK, "%s", err.text);
    ck_assert(!m.mapped);
    ck_assert_uint_eq(m.size, 5);
    ck_assert_int_eq(memcmp(m.data, "model", 5), 0);
    mbr_filemap_release(&m, m.data, m.size); /* does nothing to memory */
    ck_assert_int_eq(memcmp(m.data, "model", 5), 0);
    mbr_filemap_close(&m);
    close(ends[0]);
}
END_TEST

START_TEST(names_stay_below)
{
    mbr_filemap m;
    ck_assert_int_eq(mkdir(in_folder("sub"), 0700), 0);
    ck_assert_int_eq(symlink("../file", in_folder("sub/link")), 0);
    ck_assert_int_eq(symlink("sub", in_folder("away")), 0);
    ck_assert_int_eq(mkfifo(in_folder("pipe"), 0600), 0);
    fclose(fopen(in_folder("sub/empty"), "w"));
    static const struct {
        const char *name;
        mbr_status status;
        const char *words;
    } cases[] = { { "file", MBR_OK, "" },
                  { "sub/empty", MBR_OK, "" },
                  { "sub/../file", MBR_ERR_MODEL, "leads out" },
                  { "..", MBR_ERR_MODEL, "leads out" },
                  { "/etc/passwd", MBR_ERR_MODEL, "absolute" },
                  { "", MBR_ERR_MODEL, "empty part" },
                  { "sub/", MBR_ERR_MODEL, "empty part" },
                  { "sub/link", MBR_ERR_MODEL, "symbolic link 'link'" },
                  { "away/empty", MBR_ERR_MODEL, "symbolic link 'away'" },
                  { "pipe", MBR_ERR_IO, "no regular file" }, /* and no waiting for a writer */
                  { "sub", MBR_ERR_IO, "folder" },
                  { "none", MBR_ERR_IO, "'none'" } };
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        mbr_status st = mbr_filemap_open_below(&m, &memory, folder, cases[i].name, &err);
        ck_assert_msg(st == cases[i].status, "%s: %s", cases[i].name, err.text);
        ck_assert_msg(st == MBR_OK || strstr(err.text, cases[i].words), "%s: %s", cases[i].name, err.text);
        mbr_filemap_close(&m);
    }
    char part[400];
    memset(part, 'a', sizeof part - 1);
    part[sizeof part - 1] = '\0';
    ck_assert_int_eq(mbr_filemap_open_below(&m, &memory, folder, part, &err), MBR_ERR_IO);
    ck_assert_int_eq(mbr_filemap_open_below(&m, &memory, "/does/not/exist", "file", &err), MBR_ERR_IO);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("filemap");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, maps_and_gives_back);
    tcase_add_test(c, what_is_no_file);
    tcase_add_test(c, a_pipe_is_read);
    tcase_add_test(c, names_stay_below);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
