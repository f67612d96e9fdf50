/* SPDX-License-Identifier: BSD-2-Clause */
/* Inputs and outputs of runs as files: folders of ONNX's serialised tensors, and numpy's .npy. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "tools/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool value_set_new(value_set *set, int count)
{
    set->count = count;
    set->values = calloc((size_t)count + 1, sizeof(mbr_value *));
    if (!set->values)
        say_error("out of memory");
    return set->values != NULL;
}

void value_set_free(value_set *set)
{
    for (int i = 0; set->values && i < set->count; i++)
        mbr_value_release(&set->values[i]);
    free(set->values);
    set->values = NULL;
}

static int load_pb(mbr_env *env, mbr_kind kind, const char *path, mbr_value **out, const char **name)
{
    size_t bytes;
    mbr_error err;
    void *data = read_file(path, &bytes);
    if (!data)
        return EXIT_BAD_INPUT;
    mbr_status st = mbr_value_from_onnx(env, kind, data, bytes, out, name, &err);
    free(data);
    if (st == MBR_OK)
        return EXIT_DONE;
    int status = st == MBR_ERR_NO_MEMORY ? EXIT_RESOURCES : EXIT_BAD_INPUT;
    say_error("%s: %s", path, err.text);
    return status;
}

/* Files of older releases of ONNX keep the bits of a bfloat16 tensor as u16. */
int take_as(mbr_env *env, mbr_dtype declared, mbr_value **value)
{
    mbr_error err;
    mbr_value *v = *value, *same;
    if (declared != MBR_DTYPE_BF16 || mbr_value_kind(v) != MBR_KIND_TENSOR || mbr_tensor_dtype(v) != MBR_DTYPE_U16)
        return EXIT_DONE;
    if (mbr_tensor_new(env, declared, mbr_tensor_rank(v), mbr_tensor_dims(v), &same, &err) != MBR_OK)
        return fail_with(&err);
    if (mbr_tensor_bytes(v))
        memcpy(mbr_tensor_data(same), mbr_tensor_const_data(v), mbr_tensor_bytes(v));
    mbr_value_release(value);
    *value = same;
    return EXIT_DONE;
}

/* Which input file K is meant for: by its own name, else by position. */
static int load_one(mbr_env *env, const mbr_model *model, const char *path, int k, value_set *set)
{
    mbr_port port = { .size = sizeof port };
    mbr_error err;
    mbr_value *value = NULL;
    const char *name = NULL;
    mbr_kind kind = MBR_KIND_TENSOR;
    if (k < set->count) {
        if (mbr_model_input(model, k, &port, &err) != MBR_OK)
            return fail_with(&err);
        kind = port.kind;
    }
    int st = load_pb(env, kind, path, &value, &name);
    if (st != EXIT_DONE)
        return st;
    int at = name && *name && kind == MBR_KIND_TENSOR ? mbr_model_find_input(model, name) : -1;
    if (at < 0)
        at = k;
    if (at >= set->count) {
        mbr_value_release(&value);
        return fail_input("%s: there is no input %d; the model has %d", path, at, set->count);
    }
    mbr_value_release(&set->values[at]);
    set->values[at] = value;
    if (mbr_model_input(model, at, &port, &err) != MBR_OK)
        return fail_with(&err);
    return take_as(env, port.dtype, &set->values[at]);
}

int load_folder(mbr_env *env, const mbr_model *model, const char *folder, value_set *set)
{
    struct stat info;
    if (stat(folder, &info) != 0)
        return fail_input("%s: %s; a folder with input_0.pb ... is due", folder, strerror(errno));
    if (!S_ISDIR(info.st_mode) || access(folder, R_OK | X_OK) != 0)
        return fail_input("%s: is no folder that can be read; one with input_0.pb ... is due", folder);
    for (int k = 0; k < MOST_NAMED; k++) {
        char file[32];
        snprintf(file, sizeof file, "input_%d.pb", k);
        char *path = join_path(folder, file);
        if (!path)
            return fail_input("out of memory");
        int st = EXIT_DONE;
        if (access(path, F_OK) == 0) {
            st = load_one(env, model, path, k, set);
        }
        free(path);
        if (st != EXIT_DONE)
            return st;
    }
    return EXIT_DONE;
}

int load_named(mbr_env *env, const mbr_model *model, const char *arg, value_set *set)
{
    const char *eq = strrchr(arg, '=');
    char name[512];
    if (!eq || (size_t)(eq - arg) >= sizeof name)
        return fail_usage("--input %s: NAME=FILE is due", arg);
    memcpy(name, arg, (size_t)(eq - arg));
    name[eq - arg] = '\0';
    int at = mbr_model_find_input(model, name);
    if (at < 0)
        return fail_input("--input %s: the model has no input '%s'; `mbr info` lists them", arg, name);
    size_t n = strlen(eq + 1);
    mbr_value *value = NULL;
    mbr_port port = { .size = sizeof port };
    mbr_error err;
    if (mbr_model_input(model, at, &port, &err) != MBR_OK)
        return fail_with(&err);
    int st = n > 3 && strcmp(eq + 1 + n - 3, ".pb") == 0 ? load_pb(env, port.kind, eq + 1, &value, NULL)
                                                         : load_npy(env, eq + 1, &value);
    if (st != EXIT_DONE)
        return st;
    mbr_value_release(&set->values[at]);
    set->values[at] = value;
    return EXIT_DONE;
}

int require_inputs(const mbr_model *model, const char *path, const value_set *set)
{
    mbr_error err;
    for (int i = 0; i < set->count; i++) {
        mbr_port port = { .size = sizeof port };
        if (mbr_model_input(model, i, &port, &err) != MBR_OK)
            return fail_with(&err);
        if (!set->values[i] && !port.optional)
            return fail_input("%s: input '%s' is missing; give it by --input %s=FILE.npy, or as input_%d.pb in the "
                              "folder of --data",
                              path, port.name, port.name, i);
    }
    return EXIT_DONE;
}

int bind_set(mbr_session *session, const value_set *set)
{
    mbr_error err;
    for (int i = 0; i < set->count; i++)
        if (mbr_session_bind_input(session, i, set->values[i], &err) != MBR_OK)
            return fail_with(&err);
    return EXIT_DONE;
}

int save_outputs(mbr_env *env, const mbr_model *model, const mbr_session *session, const char *folder)
{
    mbr_error err;
    if (!make_folder(folder))
        return EXIT_RESOURCES;
    for (int i = 0; i < mbr_model_output_count(model); i++) {
        mbr_port port = { .size = sizeof port };
        void *data;
        size_t bytes;
        char file[32];
        if (mbr_model_output(model, i, &port, &err) != MBR_OK ||
            mbr_value_to_onnx(env, mbr_session_output(session, i), port.name, &data, &bytes, &err) != MBR_OK)
            return fail_with(&err);
        snprintf(file, sizeof file, "output_%d.pb", i);
        char *path = join_path(folder, file);
        bool ok = path && write_file(path, data, bytes);
        free(path);
        mbr_bytes_release(env, data);
        if (!ok)
            return EXIT_RESOURCES;
    }
    return EXIT_DONE;
}

/* --- .npy: a magic, a version, a header that is a Python dictionary, the data --- */

static mbr_dtype npy_dtype(const char *descr)
{
    static const struct {
        const char *code;
        mbr_dtype dtype;
    } codes[] = {
        { "f4", MBR_DTYPE_F32 }, { "f8", MBR_DTYPE_F64 }, { "f2", MBR_DTYPE_F16 }, { "i1", MBR_DTYPE_I8 },
        { "u1", MBR_DTYPE_U8 },  { "i2", MBR_DTYPE_I16 }, { "u2", MBR_DTYPE_U16 }, { "i4", MBR_DTYPE_I32 },
        { "u4", MBR_DTYPE_U32 }, { "i8", MBR_DTYPE_I64 }, { "u8", MBR_DTYPE_U64 }, { "b1", MBR_DTYPE_BOOL },
        { "c8", MBR_DTYPE_COMPLEX64 }, { "c16", MBR_DTYPE_COMPLEX128 },
    };
    if (*descr == '<' || *descr == '|' || *descr == '=')
        descr++;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strncmp(descr, codes[i].code, strlen(codes[i].code)) == 0 && descr[strlen(codes[i].code)] == '\'')
            return codes[i].dtype;
    return MBR_DTYPE_UNDEFINED;
}

static int parse_npy(mbr_env *env, const char *path, const unsigned char *data, size_t bytes, mbr_value **out)
{
    char header[4096];
    size_t at = 10, length;
    int64_t dims[MBR_MAX_RANK];
    int rank = 0;
    mbr_error err;
    if (bytes < 12 || memcmp(data, "\x93NUMPY", 6) != 0)
        return fail_input("%s: not a .npy file; save it with numpy.save", path);
    length = data[8] | (size_t)data[9] << 8;
    if (data[6] >= 2) {
        length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
        at = 12;
    }
    if (length >= sizeof header || length > bytes - at)
        return fail_input("%s: the .npy header is cut short or too long", path);
    memcpy(header, data + at, length);
    header[length] = '\0';
    const char *descr = strstr(header, "'descr': '"), *shape = strstr(header, "'shape': (");
    mbr_dtype dtype = descr ? npy_dtype(descr + 10) : MBR_DTYPE_UNDEFINED;
    if (!dtype || !shape)
        return fail_input("%s: an element type that is not read; numbers in little-endian order are", path);
    if (strstr(header, "'fortran_order': True"))
        return fail_input("%s: columns first; save numpy.ascontiguousarray of it", path);
    for (const char *p = shape + 10; *p && *p != ')';) {
        char *end;
        long long d = strtoll(p, &end, 10);
        if (end == p) {
            p++;
            continue;
        }
        if (rank == MBR_MAX_RANK || d < 0)
            return fail_input("%s: an impossible shape", path);
        dims[rank++] = d;
        p = end;
    }
    mbr_status st = mbr_tensor_new(env, dtype, rank, dims, out, &err);
    if (st != MBR_OK) {
        say_error("%s: %s", path, err.text);
        return st == MBR_ERR_NO_MEMORY ? EXIT_RESOURCES : EXIT_BAD_INPUT;
    }
    if (mbr_tensor_bytes(*out) != bytes - at - length) {
        mbr_value_release(out);
        return fail_input("%s: %zu bytes of data do not fit its shape", path, bytes - at - length);
    }
    if (mbr_tensor_bytes(*out))
        memcpy(mbr_tensor_data(*out), data + at + length, mbr_tensor_bytes(*out));
    return EXIT_DONE;
}

int load_npy(mbr_env *env, const char *path, mbr_value **out)
{
    size_t bytes;
    void *data = read_file(path, &bytes);
    if (!data)
        return EXIT_BAD_INPUT;
    int st = parse_npy(env, path, data, bytes, out);
    free(data);
    return st;
}
