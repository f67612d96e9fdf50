/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_neon.h"

#define MBR_LSTM_NAME mbr_lstm_neon
#define MBR_GRU_NAME mbr_gru_neon
#define MBR_RNN_NAME mbr_rnn_neon
#include "kernels/rnn_body.h"
