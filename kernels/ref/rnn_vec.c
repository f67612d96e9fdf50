/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_generic.h"

#define MBR_LSTM_NAME mbr_lstm_vec
#define MBR_GRU_NAME mbr_gru_vec
#define MBR_RNN_NAME mbr_rnn_vec
#include "kernels/rnn_body.h"
