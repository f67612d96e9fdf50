/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "api/env.h"
#include "engine/ops/custom.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifdef HAVE_DLOPEN
#include <dlfcn.h>

static const mbr_plugin_api api = {
    .size = sizeof(mbr_plugin_api),
    .version = mbr_version,
    .add_op = mbr_env_add_op,
    .error_set = mbr_error_set,
    .user = mbr_custom_user,
    .state = mbr_custom_state,
    .node_name = mbr_custom_node_name,
    .input_count = mbr_custom_input_count,
    .output_count = mbr_custom_output_count,
    .has_input = mbr_custom_has_input,
    .wants_output = mbr_custom_wants_output,
    .attr_int = mbr_custom_attr_int,
    .attr_float = mbr_custom_attr_float,
    .attr_string = mbr_custom_attr_string,
    .attr_ints = mbr_custom_attr_ints,
    .attr_floats = mbr_custom_attr_floats,
    .attr_tensor = mbr_custom_attr_tensor,
    .input_dtype = mbr_custom_input_dtype,
    .input_rank = mbr_custom_input_rank,
    .input_dim = mbr_custom_input_dim,
    .input = mbr_custom_input,
    .size_of = mbr_custom_size,
    .sizes = mbr_custom_sizes,
    .set_output = mbr_custom_set_output,
    .output = mbr_custom_output,
    .resize = mbr_custom_resize,
    .alloc = mbr_custom_alloc,
    .cancelled = mbr_custom_cancelled,
    .tensor_dtype = mbr_tensor_dtype,
    .tensor_rank = mbr_tensor_rank,
    .tensor_dims = mbr_tensor_dims,
    .tensor_count = mbr_tensor_count,
    .tensor_data = mbr_tensor_data,
    .tensor_const_data = mbr_tensor_const_data,
    .dtype_name = mbr_dtype_name,
    .dtype_size = mbr_dtype_size,
};

/* dlopen looks for a bare name in the system's folders; ours is a file. */
static mbr_status open_file(mbr_env *env, const char *path, void **handle, mbr_error *err)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return mbr_fail(err, MBR_ERR_IO, "plug-in %s: %s", path, strerror(errno));
    fclose(f);
    size_t n = strlen(path) + 3;
    char *name = mbr_alloc(&env->memory, n);
    if (!name)
        return mbr_no_memory(err, n);
    snprintf(name, n, "%s%s", strchr(path, '/') ? "" : "./", path);
    *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    mbr_free(&env->memory, name);
    if (*handle)
        return MBR_OK;
    const char *why = dlerror();
    return mbr_fail(err, MBR_ERR_FORMAT, "plug-in %s: it cannot be loaded: %s", path, why ? why : "no reason was given");
}

static mbr_status start(mbr_env *env, const char *path, const mbr_plugin *p, mbr_error *err)
{
    const mbr_custom *before = env->ops.first;
    mbr_error said = { 0 };
    if (!p)
        return mbr_fail(err, MBR_ERR_FORMAT, "plug-in %s: it exports no mbr_plugin_entry, so it is no plug-in of mbr",
                        path);
    if (p->abi != MBR_PLUGIN_ABI || p->size < sizeof *p || !p->start)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED,
                        "plug-in %s: it was built for version %d of the plug-in interface; this library has version %d, "
                        "build it again",
                        path, p->abi, MBR_PLUGIN_ABI);
    mbr_status st = p->start(&api, env, &said);
    if (st == MBR_OK)
        return MBR_OK;
    mbr_custom_drop(&env->ops, &env->memory, before);
    if ((int)st < 0 || st > MBR_ERR_INTERNAL)
        st = MBR_ERR_INTERNAL;
    return mbr_fail(err, st, "plug-in %s (%s): %s", path, p->name ? p->name : "?",
                    said.text[0] ? said.text : "it does not start, and does not say why");
}

mbr_status mbr_env_load_plugin(mbr_env *env, const char *path, mbr_error *err)
{
    mbr_loaded *l = mbr_calloc(&env->memory, 1, sizeof *l);
    if (!l)
        return mbr_no_memory(err, sizeof *l);
    mbr_status st = open_file(env, path, &l->handle, err);
    if (st == MBR_OK)
        st = start(env, path, dlsym(l->handle, "mbr_plugin_entry"), err);
    if (st != MBR_OK) {
        if (l->handle)
            dlclose(l->handle);
        mbr_free(&env->memory, l);
        return st;
    }
    l->next = env->loaded;
    env->loaded = l;
    return MBR_OK;
}

void mbr_plugins_unload(mbr_env *env)
{
    while (env->loaded) {
        mbr_loaded *l = env->loaded;
        env->loaded = l->next;
        dlclose(l->handle);
        mbr_free(&env->memory, l);
    }
}

#else

mbr_status mbr_env_load_plugin(mbr_env *env, const char *path, mbr_error *err)
{
    (void)env;
    return mbr_fail(err, MBR_ERR_UNSUPPORTED, "plug-in %s: this build cannot load any; register its operators with "
                    "mbr_env_add_op", path);
}

void mbr_plugins_unload(mbr_env *env)
{
    (void)env;
}

#endif
