/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/activation.h"

#include <ctype.h>

static bool same_name(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a == '_')
            a++;
        while (*b == '_')
            b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
        if (*a == 0)
            return true;
    }
}

bool mbr_activation_find(const char *name, mbr_act *act)
{
    static const struct {
        const char *name;
        mbr_act act;
    } table[] = {
        { "", { MBR_ACT_NONE, 0, 0 } },
        { "None", { MBR_ACT_NONE, 0, 0 } },
        { "Relu", { MBR_ACT_RELU, 0, 0 } },
        { "Clip", { MBR_ACT_CLIP, -3.4028234663852886e38f, 3.4028234663852886e38f } },
        { "LeakyRelu", { MBR_ACT_LEAKY, 0.01f, 0 } },
        { "Sigmoid", { MBR_ACT_SIGMOID, 0, 0 } },
        { "Tanh", { MBR_ACT_TANH, 0, 0 } },
        { "Swish", { MBR_ACT_SILU, 1, 0 } },
        { "SiLU", { MBR_ACT_SILU, 1, 0 } },
        { "Gelu", { MBR_ACT_GELU, 0, 0 } },
        { "GeluTanh", { MBR_ACT_GELU_TANH, 0, 0 } },
        { "HardSigmoid", { MBR_ACT_HARD_SIGMOID, 0.2f, 0.5f } },
        { "HardSwish", { MBR_ACT_HARD_SWISH, 0, 0 } },
    };
    for (size_t i = 0; i < MBR_COUNT_OF(table); i++)
        if (same_name(name, table[i].name)) {
            *act = table[i].act;
            return true;
        }
    return false;
}

mbr_status mbr_activation_read(const mbr_ir_node *n, mbr_act *act, mbr_error *err)
{
    const char *name = mbr_attr_string(n, "act", NULL);
    if (name) {
        if (!mbr_activation_find(name, act))
            return mbr_ir_fail(n, err, MBR_ERR_UNSUPPORTED, "an activation '%s'", name);
        act->a = mbr_attr_float(n, "act_alpha", act->a);
        act->b = mbr_attr_float(n, "act_beta", act->b);
        return MBR_OK;
    }
    name = mbr_attr_string(n, "activation", "");
    if (!mbr_activation_find(name, act))
        return mbr_ir_fail(n, err, MBR_ERR_UNSUPPORTED, "an activation '%s'", name);
    size_t count;
    const float *params = mbr_attr_floats(n, "activation_params", &count);
    act->a = mbr_attr_float(n, "activation_alpha", params && count > 0 ? params[0] : act->a);
    act->b = mbr_attr_float(n, "activation_beta", params && count > 1 ? params[1] : act->b);
    return MBR_OK;
}
