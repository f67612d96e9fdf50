/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole engine API. Pipelines have a header of their own: mbr/pipeline.h. */
#ifndef MBR_MBR_H
#define MBR_MBR_H

#include "mbr/custom.h"
#include "mbr/dtype.h"
#include "mbr/env.h"
#include "mbr/model.h"
#include "mbr/onnx.h"
#include "mbr/plan.h"
#include "mbr/plugin.h"
#include "mbr/session.h"
#include "mbr/status.h"
#include "mbr/value.h"

#endif
