dnl SPDX-License-Identifier: BSD-2-Clause

dnl MBR_APPEND_CFLAG(VARIABLE, FLAG): adds FLAG to VARIABLE when the compiler takes it.
AC_DEFUN([MBR_APPEND_CFLAG], [
    AS_VAR_PUSHDEF([mbr_cache], [mbr_cv_cflag_$2])
    AC_CACHE_CHECK([whether $CC takes $2], [mbr_cache], [
        mbr_save_CFLAGS=$CFLAGS
        CFLAGS="$CFLAGS -Werror $2"
        AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [AS_VAR_SET([mbr_cache], [yes])], [AS_VAR_SET([mbr_cache], [no])])
        CFLAGS=$mbr_save_CFLAGS
    ])
    AS_VAR_IF([mbr_cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
    AS_VAR_POPDEF([mbr_cache])
])

dnl MBR_APPEND_LDFLAG(VARIABLE, FLAG): adds FLAG to VARIABLE when the linker takes it.
AC_DEFUN([MBR_APPEND_LDFLAG], [
    AS_VAR_PUSHDEF([mbr_cache], [mbr_cv_ldflag_$2])
    AC_CACHE_CHECK([whether the linker takes $2], [mbr_cache], [
        mbr_save_LDFLAGS=$LDFLAGS
        LDFLAGS="$LDFLAGS $2"
        AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AS_VAR_SET([mbr_cache], [yes])], [AS_VAR_SET([mbr_cache], [no])])
        LDFLAGS=$mbr_save_LDFLAGS
    ])
    AS_VAR_IF([mbr_cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
    AS_VAR_POPDEF([mbr_cache])
])

dnl MBR_CHECK_VERSION_SCRIPT: the conditional HAVE_VERSION_SCRIPT.
AC_DEFUN([MBR_CHECK_VERSION_SCRIPT], [
    AC_CACHE_CHECK([whether the linker takes a version script], [mbr_cv_version_script], [
        mbr_save_LDFLAGS=$LDFLAGS
        LDFLAGS="$LDFLAGS -Wl,--version-script=$srcdir/libmbr.map"
        AC_LINK_IFELSE([AC_LANG_PROGRAM()], [mbr_cv_version_script=yes], [mbr_cv_version_script=no])
        LDFLAGS=$mbr_save_LDFLAGS
    ])
    AM_CONDITIONAL([HAVE_VERSION_SCRIPT], [test "x$mbr_cv_version_script" = xyes])
])

dnl MBR_TIER(NAME, FLAGS, INCLUDE, BODY): one CPU tier. When a file that uses it compiles with FLAGS, sets the
dnl conditional TIER_NAME, the flags MBR_NAME_CFLAGS and the macro MBR_HAVE_NAME in config.h; otherwise MBR_TIER_MACROS
dnl tells kernels/cpu.h that a tier of this architecture is missing.
AC_DEFUN([MBR_TIER], [
    AC_CACHE_CHECK([for the CPU tier $1], [mbr_cv_tier_$1], [
        mbr_save_CFLAGS=$CFLAGS
        CFLAGS="$CFLAGS -Werror $2"
        AC_COMPILE_IFELSE([AC_LANG_PROGRAM([$3], [$4])], [mbr_cv_tier_$1=yes], [mbr_cv_tier_$1=no])
        CFLAGS=$mbr_save_CFLAGS
    ])
    MBR_$1_CFLAGS="$2"
    AC_SUBST([MBR_$1_CFLAGS])
    AS_IF([test "x$mbr_cv_tier_$1" = xyes], [
        mbr_tiers="$mbr_tiers m4_tolower($1)"
        AC_DEFINE([MBR_HAVE_$1], [1], [Define when the CPU tier $1 is built.])
    ], [AS_CASE([$host_cpu:$1], [x86_64:A*|aarch64:NEON|aarch64:D*|aarch64:I*],
        [MBR_TIER_MACROS="$MBR_TIER_MACROS -DMBR_WITH_$1=0"])])
    AM_CONDITIONAL([TIER_$1], [test "x$mbr_cv_tier_$1" = xyes])
])

dnl MBR_CHECK_TIERS: all of them. A tier of another architecture fails its test and is left out.
AC_DEFUN([MBR_CHECK_TIERS], [
    mbr_tiers=
    MBR_TIER_MACROS=
    AC_SUBST([MBR_TIER_MACROS])
    m4_define([mbr_avx2], [-mavx2 -mfma -mf16c -mbmi -mbmi2])
    m4_define([mbr_avx512], [mbr_avx2 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd])
    MBR_TIER([AVX2], [mbr_avx2], [[#include <immintrin.h>]],
        [[__m256 a = _mm256_setzero_ps(); a = _mm256_fmadd_ps(a, a, a); (void)_mm256_cvtps_ph(a, 0);]])
    MBR_TIER([AVX512], [mbr_avx512], [[#include <immintrin.h>]],
        [[__m512 a = _mm512_setzero_ps(); a = _mm512_fmadd_ps(a, a, a); (void)_mm512_reduce_add_ps(a);]])
    MBR_TIER([AVX512VNNI], [mbr_avx512 -mavx512vnni], [[#include <immintrin.h>]],
        [[__m512i a = _mm512_setzero_si512(); a = _mm512_dpbusd_epi32(a, a, a); (void)a;]])
    MBR_TIER([AVX512BF16], [mbr_avx512 -mavx512vnni -mavx512bf16], [[#include <immintrin.h>]],
        [[__m512 a = _mm512_setzero_ps(); (void)_mm512_cvtne2ps_pbh(a, a);]])
    MBR_TIER([AMX], [mbr_avx512 -mavx512vnni -mavx512bf16 -mamx-tile -mamx-int8], [[#include <immintrin.h>]],
        [[_tile_zero(0); _tile_dpbusd(0, 1, 2); _tile_release();]])
    MBR_TIER([NEON], [], [[#include <arm_neon.h>
#ifndef __aarch64__
#error not aarch64
#endif]],
        [[float32x4_t a = vdupq_n_f32(0); a = vfmaq_f32(a, a, a); (void)a;]])
    MBR_TIER([DOTPROD], [-march=armv8.2-a+dotprod], [[#include <arm_neon.h>]],
        [[int8x16_t a = vdupq_n_s8(1); (void)vdotq_s32(vdupq_n_s32(0), a, a);]])
    MBR_TIER([I8MM], [-march=armv8.2-a+dotprod+i8mm], [[#include <arm_neon.h>]],
        [[int8x16_t a = vdupq_n_s8(1); (void)vmmlaq_s32(vdupq_n_s32(0), a, a);]])
])

dnl MBR_OPTIONAL_PKG(NAME, PREFIX, MODULE, USE): --with-NAME, found by pkg-config unless switched off.
dnl Sets with_NAME to yes or no, PREFIX_CFLAGS, PREFIX_LIBS, HAVE_PREFIX (macro and conditional).
AC_DEFUN([MBR_OPTIONAL_PKG], [
    AC_ARG_WITH([$1], [AS_HELP_STRING([--without-$1], [do not use $1 to $4])], [],
        [AS_VAR_SET_IF([with_$1], [], [with_$1=auto])])
    AS_IF([test "x$with_$1" != xno], [
        PKG_CHECK_MODULES([$2], [$3], [mbr_found=yes], [mbr_found=no])
        AS_IF([test "x$mbr_found" = xno && test "x$with_$1" = xyes],
            [AC_MSG_ERROR([$1 was asked for, but pkg-config does not find it])])
        with_$1=$mbr_found
    ])
    AS_IF([test "x$with_$1" = xyes], [AC_DEFINE([HAVE_$2], [1], [Define to use $1 to $4.])])
    AM_CONDITIONAL([HAVE_$2], [test "x$with_$1" = xyes])
])
