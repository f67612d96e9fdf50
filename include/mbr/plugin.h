/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plug-ins: shared objects that bring custom operators (mbr/custom.h) to a program that was built without them.
 *
 *     static const mbr_plugin_api *mbr;
 *
 *     static mbr_status start(const mbr_plugin_api *api, mbr_env *env, mbr_error *err)
 *     {
 *         mbr = api;
 *         return mbr->add_op(env, &twice, err);
 *     }
 *
 *     MBR_PLUGIN_EXPORT const mbr_plugin mbr_plugin_entry = { sizeof(mbr_plugin), MBR_PLUGIN_ABI, "twice 1.0", start };
 *
 * and, from the program: mbr_env_load_plugin(env, "./twice.so", &err), or `mbr run --plugin ./twice.so ...`.
 *
 * A plug-in includes these headers but links nothing of the library: it calls the program's own, whether that is linked
 * statically or not, through the table that start receives. examples/plugin/ is a whole one.
 */
#ifndef MBR_PLUGIN_H
#define MBR_PLUGIN_H

#include "mbr/custom.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Changes when a plug-in built before can no longer be loaded. */
#define MBR_PLUGIN_ABI 1

#if defined(__GNUC__) || defined(__clang__)
#define MBR_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define MBR_PLUGIN_EXPORT
#endif

/*
 * The library's functions, as mbr/custom.h, mbr/value.h and mbr/dtype.h describe them; it grows at the end. Valid as
 * long as the environment.
 */
typedef struct mbr_plugin_api {
    size_t size; /* what of this struct the library has; a function beyond it is not there */
    const char *(*version)(void);
    mbr_status (*add_op)(mbr_env *env, const mbr_custom_op *op, mbr_error *err);
    mbr_status (*error_set)(mbr_error *err, mbr_status status, const char *format, ...);

    void *(*user)(const mbr_custom_call *call);
    void *(*state)(const mbr_custom_call *call);
    const char *(*node_name)(const mbr_custom_call *call);
    int (*input_count)(const mbr_custom_call *call);
    int (*output_count)(const mbr_custom_call *call);
    int (*has_input)(const mbr_custom_call *call, int index);
    int (*wants_output)(const mbr_custom_call *call, int index);
    int64_t (*attr_int)(const mbr_custom_call *call, const char *name, int64_t otherwise);
    float (*attr_float)(const mbr_custom_call *call, const char *name, float otherwise);
    const char *(*attr_string)(const mbr_custom_call *call, const char *name, const char *otherwise);
    const int64_t *(*attr_ints)(const mbr_custom_call *call, const char *name, size_t *count);
    const float *(*attr_floats)(const mbr_custom_call *call, const char *name, size_t *count);
    const mbr_value *(*attr_tensor)(const mbr_custom_call *call, const char *name);
    mbr_dtype (*input_dtype)(const mbr_custom_call *call, int index);
    int (*input_rank)(const mbr_custom_call *call, int index);
    int64_t (*input_dim)(const mbr_custom_call *call, int index, int axis);
    const mbr_value *(*input)(const mbr_custom_call *call, int index);
    int64_t (*size_of)(mbr_custom_call *call, mbr_size_op op, int64_t a, int64_t b); /* mbr_custom_size */
    int (*sizes)(const mbr_custom_call *call, int index, int64_t *sizes, int most);
    mbr_status (*set_output)(mbr_custom_call *call, int index, mbr_dtype dtype, int rank, const int64_t *dims,
                             mbr_error *err);
    mbr_value *(*output)(const mbr_custom_call *call, int index);
    mbr_status (*resize)(mbr_custom_call *call, int index, int rank, const int64_t *dims, mbr_error *err);
    void *(*alloc)(mbr_custom_call *call, size_t bytes);
    int (*cancelled)(const mbr_custom_call *call);

    mbr_dtype (*tensor_dtype)(const mbr_value *tensor);
    int (*tensor_rank)(const mbr_value *tensor);
    const int64_t *(*tensor_dims)(const mbr_value *tensor);
    size_t (*tensor_count)(const mbr_value *tensor);
    void *(*tensor_data)(mbr_value *tensor);
    const void *(*tensor_const_data)(const mbr_value *tensor);
    const char *(*dtype_name)(mbr_dtype dtype);
    size_t (*dtype_size)(mbr_dtype dtype);
} mbr_plugin_api;

/* What a plug-in exports under the name mbr_plugin_entry. */
typedef struct mbr_plugin {
    size_t size;      /* sizeof(mbr_plugin) */
    int abi;          /* MBR_PLUGIN_ABI as it was compiled */
    const char *name; /* for messages: name and version */
    /* Registers the operators. On failure those registered before are taken back. */
    mbr_status (*start)(const mbr_plugin_api *api, mbr_env *env, mbr_error *err);
} mbr_plugin;

/*
 * Loads a plug-in file into an environment; it stays until the environment is released. A path without a slash is a
 * file of the working folder, never one of the system's. Code of the file runs in this process: load what you trust.
 * As for mbr_env_add_op, no other thread may open a model meanwhile. MBR_ERR_IO: there is no such file.
 * MBR_ERR_FORMAT: it is no shared object for this machine, or no plug-in. MBR_ERR_UNSUPPORTED: it was built for another
 * MBR_PLUGIN_ABI, or this build loads no plug-ins. Else what its start returned.
 */
MBR_API mbr_status mbr_env_load_plugin(mbr_env *env, const char *path, mbr_error *err);

#ifdef __cplusplus
}
#endif

#endif
