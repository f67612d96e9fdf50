/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx512.h"

#define MBR_LSTM_NAME mbr_lstm_avx512
#define MBR_GRU_NAME mbr_gru_avx512
#define MBR_RNN_NAME mbr_rnn_avx512
#include "kernels/rnn_body.h"
