/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps over times: seconds since 1970-01-01 UTC. */
#include "runtime/steps/step.h"

#include <math.h>

/* ---- date_part ---- */

typedef struct date_part {
    int part;
    int64_t utc_offset; /* minutes */
} date_part;

enum { PART_SECOND, PART_MINUTE, PART_HOUR, PART_WEEKDAY, PART_DAY, PART_DAY_OF_YEAR, PART_MONTH, PART_YEAR,
       PART_EPOCH_DAY, PART_EPOCH, PART_ISO_WEEK, PART_ISO_YEAR, PART_QUARTER, PART_DAYS_IN_MONTH };

const mbr_param mbr_params_date_part[] = {
    { .name = "part", .type = MBR_PARAM_CHOICE, .required = true, .offset = offsetof(date_part, part),
      .words = "second|minute|hour|weekday|day|day_of_year|month|year|epoch_day|epoch|iso_week|iso_year|quarter|"
               "days_in_month" },
    { .name = "utc_offset", .type = MBR_PARAM_INT, .offset = offsetof(date_part, utc_offset), .preset = 0 },
    { .name = NULL }
};

mbr_status mbr_compile_date_part(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    const date_part *p = s->params;
    (void)out;
    if (p->utc_offset < -1439 || p->utc_offset > 1439)
        return mbr_node_fail(&c->read, at, "step '%s': utc_offset is in minutes, between -1439 and 1439", s->name);
    return MBR_OK;
}

/* The week is of the year that its Thursday lies in. */
static double iso_part(int part, int64_t days)
{
    int64_t thursday = days - ((days + 3) % 7 + 7) % 7 + 3, year;
    int month, day;
    mbr_date_from_days(thursday, &year, &month, &day);
    return (double)(part == PART_ISO_YEAR ? year : (thursday - mbr_days_from_date(year, 1, 1)) / 7 + 1);
}

static double part_of(int part, double t)
{
    if (!(fabs(t) < 1e13)) /* also missing; some 300,000 years either way */
        return NAN;
    double whole = floor(t);
    int64_t seconds = (int64_t)whole, days = seconds / 86400, of_day = seconds % 86400, year;
    int month, day;
    if (of_day < 0) {
        of_day += 86400;
        days--;
    }
    mbr_date_from_days(days, &year, &month, &day);
    switch (part) {
    case PART_SECOND: return (double)(of_day % 60) + (t - whole);
    case PART_MINUTE: return (double)(of_day / 60 % 60);
    case PART_HOUR: return (double)(of_day / 3600);
    case PART_WEEKDAY: return (double)(((days + 3) % 7 + 7) % 7); /* Monday is 0 */
    case PART_DAY: return day;
    case PART_DAY_OF_YEAR: return (double)(days - mbr_days_from_date(year, 1, 1) + 1);
    case PART_MONTH: return month;
    case PART_YEAR: return (double)year;
    case PART_EPOCH_DAY: return (double)days;
    case PART_ISO_WEEK:
    case PART_ISO_YEAR: return iso_part(part, days);
    case PART_QUARTER: return (month + 2) / 3;
    case PART_DAYS_IN_MONTH:
        return (double)(mbr_days_from_date(year + month / 12, month % 12 + 1, 1) - mbr_days_from_date(year, month, 1));
    default: return t;
    }
}

void mbr_run_date_part(const mbr_step *s, mbr_rows *rows)
{
    const date_part *p = s->params;
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    for (int i = 0; i < rows->count; i++)
        y[i] = part_of(p->part, x[i] + (double)p->utc_offset * 60);
}

/* ---- elapsed: from the second time to the first ---- */

typedef struct elapsed {
    int unit;
} elapsed;

const mbr_param mbr_params_elapsed[] = {
    { .name = "unit", .type = MBR_PARAM_CHOICE, .words = "seconds|minutes|hours|days",
      .offset = offsetof(elapsed, unit), .preset = 0 },
    { .name = NULL }
};

void mbr_run_elapsed(const mbr_step *s, mbr_rows *rows)
{
    static const double units[] = { 1, 60, 3600, 86400 };
    const elapsed *p = s->params;
    const double *a = mbr_step_in(s, rows, 0), *b = mbr_step_in(s, rows, 1);
    double *y = mbr_step_out(s, rows);
    for (int i = 0; i < rows->count; i++)
        y[i] = (a[i] - b[i]) / units[p->unit];
}
