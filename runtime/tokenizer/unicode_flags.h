/* SPDX-License-Identifier: BSD-2-Clause */
/* Written by scripts/tokenizer-tables from what tokenizers 0.23.3 says. */
#ifndef MBR_RUNTIME_TOKENIZER_UNICODE_FLAGS_H
#define MBR_RUNTIME_TOKENIZER_UNICODE_FLAGS_H

enum {
    MBR_U_SPACE = 1 << 0, /* white space */
    MBR_U_NUMERIC = 1 << 1, /* what Digits takes */
    MBR_U_WORD = 1 << 2, /* w of the regular expressions that are built in */
    MBR_U_PUNCT = 1 << 3, /* punctuation */
    MBR_U_OTHER = 1 << 4, /* what clean_text takes out */
    MBR_U_MARK_BERT = 1 << 5, /* the accents of BertNormalizer */
    MBR_U_MARK = 1 << 6, /* the accents of StripAccents */
    MBR_U_OPAQUE = 1 << 7, /* unknown to the normal forms */
    MBR_U_EXTEND = 1 << 8, /* goes on with the cluster before it */
    MBR_U_REGEX_WORD = 1 << 9, /* w of the regular expressions in a file */
    MBR_U_RECENT = 1 << 10, /* not in Unicode 14 */
    MBR_U_CATEGORY = 16, /* the shift of the general category */
};

/* General categories. */
enum {
    MBR_GC_CN, MBR_GC_LU, MBR_GC_LL, MBR_GC_LT, MBR_GC_LM, MBR_GC_LO, MBR_GC_MN, MBR_GC_MC, MBR_GC_ME, MBR_GC_ND,
    MBR_GC_NL, MBR_GC_NO, MBR_GC_PC, MBR_GC_PD, MBR_GC_PS, MBR_GC_PE, MBR_GC_PI, MBR_GC_PF, MBR_GC_PO, MBR_GC_SM,
    MBR_GC_SC, MBR_GC_SK, MBR_GC_SO, MBR_GC_ZS, MBR_GC_ZL, MBR_GC_ZP, MBR_GC_CC, MBR_GC_CF, MBR_GC_CO,
};

#endif
