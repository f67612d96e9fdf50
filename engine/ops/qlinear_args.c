/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/qlinear_args.h"

mbr_status mbr_qlinear_check(mbr_infer *c, uint32_t i, uint32_t scale)
{
    mbr_dtype t = c->in[i].dtype, s = c->in[scale].dtype;
    if (t && t != MBR_DTYPE_U8 && t != MBR_DTYPE_I8)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "input %u is %s; bytes are due", i, mbr_dtype_name(t));
    if (s && s != MBR_DTYPE_F32)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "a scale of %s; f32 is due", mbr_dtype_name(s));
    if (t && mbr_infer_has(c, scale + 1) && c->in[scale + 1].dtype && c->in[scale + 1].dtype != t)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the zero point is %s, but the input is %s",
                              mbr_dtype_name(c->in[scale + 1].dtype), mbr_dtype_name(t));
    return MBR_OK;
}

mbr_dtype mbr_qlinear_dtype(const mbr_infer *c, uint32_t zero, uint32_t like)
{
    return mbr_infer_has(c, zero) ? c->in[zero].dtype : c->in[like].dtype;
}

mbr_status mbr_qlinear_read(mbr_step *s, uint32_t scale, mbr_dtype dtype, mbr_qlinear *q, mbr_error *err)
{
    const mbr_value *v = s->in[scale], *zero = mbr_step_has(s, scale + 1) ? s->in[scale + 1] : NULL;
    if (mbr_value_count(v) != 1 || v->dtype != MBR_DTYPE_F32 || (zero && mbr_value_count(zero) != 1) ||
        (dtype != MBR_DTYPE_U8 && dtype != MBR_DTYPE_I8))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "inputs %u and %u must be one f32 scale and one zero point", scale,
                             scale + 1);
    *q = (mbr_qlinear){ .scale = *(const float *)v->data, .zero = zero ? (int32_t)mbr_value_int(zero, 0) : 0,
                        .is_signed = dtype == MBR_DTYPE_I8 };
    return MBR_OK;
}
