/* SPDX-License-Identifier: BSD-2-Clause */
/* The OpenCL functions that we call, by pointers from the ICD loader: nothing links against it. OpenCL 1.2, and
   what is newer where it is there. */
#ifndef MBR_ENGINE_OPENCL_CL_H
#define MBR_ENGINE_OPENCL_CL_H

#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>

#include "base/error.h"

#include <stdbool.h>

#define MBR_CL_FUNCTIONS(X)                                                                                            \
    X(clGetPlatformIDs) X(clGetPlatformInfo) X(clGetDeviceIDs) X(clGetDeviceInfo) X(clCreateContext)                   \
    X(clReleaseContext) X(clCreateCommandQueue) X(clReleaseCommandQueue) X(clCreateBuffer) X(clReleaseMemObject)       \
    X(clCreateProgramWithSource) X(clCreateProgramWithBinary) X(clBuildProgram) X(clGetProgramBuildInfo)               \
    X(clGetProgramInfo) X(clReleaseProgram) X(clCreateKernel) X(clReleaseKernel) X(clSetKernelArg)                     \
    X(clGetKernelWorkGroupInfo) X(clEnqueueNDRangeKernel) X(clEnqueueReadBuffer) X(clEnqueueWriteBuffer)               \
    X(clEnqueueCopyBuffer) X(clEnqueueMapBuffer) X(clEnqueueUnmapMemObject) X(clFlush) X(clFinish)                     \
    X(clWaitForEvents) X(clRetainEvent) X(clReleaseEvent) X(clGetEventProfilingInfo)                                   \
    X(clGetExtensionFunctionAddressForPlatform)

/* Newer than OpenCL 1.2: names of our own, since older headers lack them. clGetKernelSubGroupInfo is of 2.1; where that
   is not there, cl_khr_subgroups has it by another name. */
typedef cl_int(CL_API_CALL *mbr_cl_sub_group_info)(cl_kernel, cl_device_id, cl_uint, size_t, const void *, size_t, void *,
                                                   size_t *);
#define MBR_CL_DEVICE_MAX_NUM_SUB_GROUPS 0x105C
#define MBR_CL_DEVICE_SUB_GROUP_SIZES_INTEL 0x4108
#define MBR_CL_KERNEL_MAX_SUB_GROUP_SIZE 0x2033

typedef struct mbr_cl {
#define MBR_CL_MEMBER(name) __typeof__(&name) name;
    MBR_CL_FUNCTIONS(MBR_CL_MEMBER)
#undef MBR_CL_MEMBER
    mbr_cl_sub_group_info clGetKernelSubGroupInfo; /* NULL where the loader is older than OpenCL 2.1 */
} mbr_cl;

/* The loader's functions, found once for the process. NULL, with a message, where there is no loader. */
const mbr_cl *mbr_cl_load(mbr_error *err);
/* Was there a loader, and a driver that did not outlive its trial? After mbr_cl_load. */
bool mbr_cl_broken(void);

#endif
