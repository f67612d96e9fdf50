/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/opencl/device.h"
#include "engine/opencl/frame.h"
#include "engine/opencl/program.h"
#include "engine/opencl/store.h"

#include <stdio.h>
#include <string.h>

#define MOST_PLATFORMS 16
#define MOST_DEVICES 64

const char *mbr_cl_error_name(cl_int code)
{
    static const struct {
        cl_int code;
        const char *name;
    } names[] = {
        { CL_DEVICE_NOT_AVAILABLE, "CL_DEVICE_NOT_AVAILABLE" },
        { CL_COMPILER_NOT_AVAILABLE, "CL_COMPILER_NOT_AVAILABLE" },
        { CL_MEM_OBJECT_ALLOCATION_FAILURE, "CL_MEM_OBJECT_ALLOCATION_FAILURE" },
        { CL_OUT_OF_RESOURCES, "CL_OUT_OF_RESOURCES" },
        { CL_OUT_OF_HOST_MEMORY, "CL_OUT_OF_HOST_MEMORY" },
        { CL_BUILD_PROGRAM_FAILURE, "CL_BUILD_PROGRAM_FAILURE" },
        { CL_INVALID_VALUE, "CL_INVALID_VALUE" },
        { CL_INVALID_BINARY, "CL_INVALID_BINARY" },
        { CL_INVALID_BUILD_OPTIONS, "CL_INVALID_BUILD_OPTIONS" },
        { CL_INVALID_KERNEL_NAME, "CL_INVALID_KERNEL_NAME" },
        { CL_INVALID_ARG_INDEX, "CL_INVALID_ARG_INDEX" },
        { CL_INVALID_ARG_VALUE, "CL_INVALID_ARG_VALUE" },
        { CL_INVALID_ARG_SIZE, "CL_INVALID_ARG_SIZE" },
        { CL_INVALID_KERNEL_ARGS, "CL_INVALID_KERNEL_ARGS" },
        { CL_INVALID_WORK_GROUP_SIZE, "CL_INVALID_WORK_GROUP_SIZE" },
        { CL_INVALID_WORK_ITEM_SIZE, "CL_INVALID_WORK_ITEM_SIZE" },
        { CL_INVALID_BUFFER_SIZE, "CL_INVALID_BUFFER_SIZE" },
        { CL_INVALID_GLOBAL_WORK_SIZE, "CL_INVALID_GLOBAL_WORK_SIZE" },
        { CL_INVALID_COMMAND_QUEUE, "CL_INVALID_COMMAND_QUEUE" },
    };
    for (size_t i = 0; i < MBR_COUNT_OF(names); i++)
        if (names[i].code == code)
            return names[i].name;
    return "an OpenCL error";
}

/* --- finding --- */

typedef struct found {
    cl_platform_id platform;
    cl_device_id id;
    cl_device_type type;
} found;

/* GPUs and accelerators before CPUs, otherwise as the platforms give them. */
static int find_devices(const mbr_cl *cl, found *list)
{
    cl_platform_id platforms[MOST_PLATFORMS];
    cl_uint n_platforms = 0;
    int n = 0;
    if (cl->clGetPlatformIDs(MOST_PLATFORMS, platforms, &n_platforms) != CL_SUCCESS)
        return 0;
    if (n_platforms > MOST_PLATFORMS)
        n_platforms = MOST_PLATFORMS;
    for (int round = 0; round < 2; round++)
        for (cl_uint p = 0; p < n_platforms; p++) {
            cl_device_id ids[MOST_DEVICES];
            cl_uint n_ids = 0;
            if (cl->clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MOST_DEVICES, ids, &n_ids) != CL_SUCCESS)
                continue;
            for (cl_uint i = 0; i < n_ids && i < MOST_DEVICES && n < MOST_DEVICES; i++) {
                cl_device_type type = 0;
                cl_bool available = CL_FALSE;
                cl->clGetDeviceInfo(ids[i], CL_DEVICE_TYPE, sizeof type, &type, NULL);
                cl->clGetDeviceInfo(ids[i], CL_DEVICE_AVAILABLE, sizeof available, &available, NULL);
                if (available && !(type & CL_DEVICE_TYPE_CPU) == (round == 0))
                    list[n++] = (found){ platforms[p], ids[i], type };
            }
        }
    return n;
}

mbr_status mbr_cl_count(mbr_memory *memory, const mbr_log *log, int *n, mbr_error *err)
{
    found list[MOST_DEVICES];
    const mbr_cl *cl = mbr_cl_load(err);
    (void)memory;
    (void)log;
    *n = cl ? find_devices(cl, list) : 0;
    return MBR_OK;
}

/* --- opening --- */

static void read_text(const mbr_cl_device *d, cl_device_info what, char *to, size_t room)
{
    char text[512] = "";
    d->cl->clGetDeviceInfo(d->id, what, sizeof text - 1, text, NULL);
    text[sizeof text - 1] = '\0';
    snprintf(to, room, "%.*s", (int)room - 1, text);
}

/* Of OpenCL 3 (where they may be left out), 2.1, or of an extension before. */
static void read_sub_groups(mbr_cl_device *d, const char *extensions)
{
    const mbr_cl *cl = d->cl;
    mbr_cl_sub_groups *s = &d->sub;
    size_t sizes[16] = { 0 }, *size = sizes;
    bool intel = strstr(extensions, "cl_intel_subgroups") != NULL, khr = strstr(extensions, "cl_khr_subgroups") != NULL;
    bool three = strcmp(d->version, "OpenCL 3") > 0, core = three || (strcmp(d->version, "OpenCL 2.1") > 0 && khr);
    /* Intel's extension needs no newer language, and knows all that kernels use */
    s->options = intel ? " -DSUBS" : three ? " -DSUBS -cl-std=CL3.0" : " -DSUBS -cl-std=CL2.0";
    s->blocks[0] = intel;
    s->blocks[1] = d->f16 && strstr(extensions, "cl_intel_subgroups_short") != NULL;
    s->required = strstr(extensions, "cl_intel_required_subgroup_size") != NULL;
    s->ask = core ? cl->clGetKernelSubGroupInfo : NULL;
    if (!s->ask && (khr || intel))
        *(void **)&s->ask = cl->clGetExtensionFunctionAddressForPlatform(d->platform, "clGetKernelSubGroupInfoKHR");
    if (s->ask && core)
        cl->clGetDeviceInfo(d->id, MBR_CL_DEVICE_MAX_NUM_SUB_GROUPS, sizeof s->most, &s->most, NULL);
    else if (s->ask)
        s->most = (cl_uint)d->max_group / 8; /* nobody says; kernels are asked for what they get */
    s->size = 32;
    if (s->required && cl->clGetDeviceInfo(d->id, MBR_CL_DEVICE_SUB_GROUP_SIZES_INTEL, sizeof sizes - sizeof *sizes, sizes,
                                           NULL) == CL_SUCCESS)
        while (*size && s->size != 16)
            s->size = (cl_uint)*size++;
    for (int c = MBR_CL_SUB_PRODUCTS; c <= MBR_CL_SUB_SUMS; c++)
        d->choice[c] = s->most ? 0 : -1;
}

size_t mbr_cl_sub_group_size(const mbr_cl_device *d, cl_kernel kernel, size_t local)
{
    size_t group[3] = { local, 1, 1 }, size = 0;
    return d->sub.ask(kernel, d->id, MBR_CL_KERNEL_MAX_SUB_GROUP_SIZE, sizeof group, group, sizeof size, &size, NULL) ==
                   CL_SUCCESS ? size : 0;
}

static void read_limits(mbr_cl_device *d)
{
    const mbr_cl *cl = d->cl;
    char extensions[4096] = "";
    cl_uint bits = 0, halves = 0;
    cl_bool unified = CL_FALSE;
    size_t bytes = 0;
    read_text(d, CL_DEVICE_NAME, d->name, sizeof d->name);
    read_text(d, CL_DEVICE_VENDOR, d->vendor, sizeof d->vendor);
    read_text(d, CL_DRIVER_VERSION, d->driver, sizeof d->driver);
    read_text(d, CL_DEVICE_VERSION, d->version, sizeof d->version);
    cl->clGetPlatformInfo(d->platform, CL_PLATFORM_NAME, sizeof d->platform_name - 1, d->platform_name, NULL);
    cl->clGetDeviceInfo(d->id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof d->units, &d->units, NULL);
    cl->clGetDeviceInfo(d->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof d->max_group, &d->max_group, NULL);
    cl->clGetDeviceInfo(d->id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof d->max_sizes, d->max_sizes, NULL);
    cl->clGetDeviceInfo(d->id, CL_DEVICE_LOCAL_MEM_SIZE, sizeof d->local_bytes, &d->local_bytes, NULL);
    cl->clGetDeviceInfo(d->id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof d->global_bytes, &d->global_bytes, NULL);
    cl->clGetDeviceInfo(d->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof d->max_alloc, &d->max_alloc, NULL);
    cl->clGetDeviceInfo(d->id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof bits, &bits, NULL);
    cl->clGetDeviceInfo(d->id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof d->vector_f32, &d->vector_f32, NULL);
    cl->clGetDeviceInfo(d->id, CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF, sizeof halves, &halves, NULL);
    cl->clGetDeviceInfo(d->id, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof unified, &unified, NULL);
    if (cl->clGetDeviceInfo(d->id, CL_DEVICE_EXTENSIONS, 0, NULL, &bytes) == CL_SUCCESS && bytes <= sizeof extensions)
        cl->clGetDeviceInfo(d->id, CL_DEVICE_EXTENSIONS, sizeof extensions - 1, extensions, NULL);
    d->align = bits / 8 ? bits / 8 : 128;
    d->unified = unified == CL_TRUE;
    d->f16 = strstr(extensions, "cl_khr_fp16") != NULL;
    d->choice[MBR_CL_HALVES] = d->f16 && halves > 0 ? 0 : -1;
    d->f64 = strstr(extensions, "cl_khr_fp64") != NULL;
    d->int8_dot = strstr(extensions, "cl_khr_integer_dot_product") != NULL;
    if (d->max_group < 1)
        d->max_group = 1;
    read_sub_groups(d, extensions);
}

mbr_status mbr_cl_device_open(mbr_memory *memory, const mbr_log *log, int index, const char *cache, mbr_cl_device **out,
                              mbr_error *err)
{
    found list[MOST_DEVICES];
    *out = NULL;
    const mbr_cl *cl = mbr_cl_load(err);
    if (!cl)
        return MBR_ERR_UNSUPPORTED;
    int n = find_devices(cl, list);
    if (index < 0 || index >= n)
        return n == 0 ? mbr_fail(err, MBR_ERR_UNSUPPORTED, "OpenCL has no device here: install the driver of one (on "
                                 "Debian, for the CPU: apt-get install pocl-opencl-icd), or use --device cpu") :
                        mbr_fail(err, MBR_ERR_UNSUPPORTED, "there is no device opencl:%d; the last one is opencl:%d",
                                 index, n - 1);
    mbr_cl_device *d = mbr_calloc(memory, 1, sizeof *d);
    if (!d)
        return mbr_no_memory(err, sizeof *d);
    d->memory = memory;
    d->log = log;
    d->cl = cl;
    d->platform = list[index].platform;
    d->id = list[index].id;
    d->type = list[index].type;
    snprintf(d->label, sizeof d->label, "opencl:%d", index);
    d->base.fn = &mbr_cl_frame_functions;
    d->base.name = d->label;
    read_limits(d);
    cl_context_properties properties[] = { CL_CONTEXT_PLATFORM, (cl_context_properties)d->platform, 0 };
    cl_int code;
    d->context = cl->clCreateContext(properties, 1, &d->id, NULL, NULL, &code);
    mbr_status st = d->context ? mbr_cl_shared_new(d, err) :
                                 mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s (%s) gives no context: %s", d->label, d->name,
                                          mbr_cl_error_name(code));
    if (st != MBR_OK) {
        mbr_cl_device_close(d);
        return st;
    }
    d->folder = mbr_cl_store_folder(memory, cache);
    mbr_log_at(log, MBR_LOG_DEBUG, "%s is %s (%s, driver %s), %s sub-groups", d->label, d->name, d->platform_name, d->driver,
               d->sub.most ? "with" : "without");
    *out = d;
    return MBR_OK;
}

void mbr_cl_device_close(mbr_cl_device *d)
{
    if (!d)
        return;
    mbr_cl_shared_free(d);
    if (d->context)
        d->cl->clReleaseContext(d->context);
    mbr_free(d->memory, d->folder);
    mbr_free(d->memory, d);
}
