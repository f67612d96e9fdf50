/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Oniguruma's Ruby syntax to PCRE2's. What differs: the classes of \s, \w, \h, \v and \b; properties of code points that
 * came after PCRE2's tables; scripts (PCRE2 takes their extensions too); (?m), which is PCRE2's (?s); {n,m}+, which
 * repeats rather than keeps; {,n}; nested classes and intersections, which are refused.
 */
#include "runtime/tokenizer/regex.h"

#include <stdio.h>
#include <string.h>

#define SPACES "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define NO_SPACES                                                                                                      \
    "\\x00-\\x08\\x0e-\\x1f\\x21-\\x84\\x86-\\x9f\\xa1-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"               \
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{d7ff}\\x{e000}-\\x{10ffff}"
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define BIT(name) (1u << MBR_GC_##name)
#define LETTER (BIT(LU) | BIT(LL) | BIT(LT) | BIT(LM) | BIT(LO))
#define MARKS (BIT(MN) | BIT(MC) | BIT(ME))
#define NUMBER (BIT(ND) | BIT(NL) | BIT(NO))
#define PUNCTUATION (BIT(PC) | BIT(PD) | BIT(PS) | BIT(PE) | BIT(PI) | BIT(PF) | BIT(PO))
#define SYMBOL (BIT(SM) | BIT(SC) | BIT(SK) | BIT(SO))

static const struct {
    const char *name, *alias, *pcre;
    uint32_t categories;
} properties[] = {
    { "l", "letter", "L", LETTER },
    { "lu", "uppercaseletter", "Lu", BIT(LU) },
    { "ll", "lowercaseletter", "Ll", BIT(LL) },
    { "lt", "titlecaseletter", "Lt", BIT(LT) },
    { "lm", "modifierletter", "Lm", BIT(LM) },
    { "lo", "otherletter", "Lo", BIT(LO) },
    { "m", "mark", "M", MARKS },
    { "mn", "nonspacingmark", "Mn", BIT(MN) },
    { "mc", "spacingmark", "Mc", BIT(MC) },
    { "me", "enclosingmark", "Me", BIT(ME) },
    { "n", "number", "N", NUMBER },
    { "nd", "decimalnumber", "Nd", BIT(ND) },
    { "nl", "letternumber", "Nl", BIT(NL) },
    { "no", "othernumber", "No", BIT(NO) },
    { "p", "punctuation", "P", PUNCTUATION },
    { "pc", "connectorpunctuation", "Pc", BIT(PC) },
    { "pd", "dashpunctuation", "Pd", BIT(PD) },
    { "ps", "openpunctuation", "Ps", BIT(PS) },
    { "pe", "closepunctuation", "Pe", BIT(PE) },
    { "pi", "initialpunctuation", "Pi", BIT(PI) },
    { "pf", "finalpunctuation", "Pf", BIT(PF) },
    { "po", "otherpunctuation", "Po", BIT(PO) },
    { "s", "symbol", "S", SYMBOL },
    { "sm", "mathsymbol", "Sm", BIT(SM) },
    { "sc", "currencysymbol", "Sc", BIT(SC) },
    { "sk", "modifiersymbol", "Sk", BIT(SK) },
    { "so", "othersymbol", "So", BIT(SO) },
    { "z", "separator", "Z", 0 },
    { "zs", "spaceseparator", "Zs", 0 },
    { "zl", "lineseparator", "Zl", 0 },
    { "zp", "paragraphseparator", "Zp", 0 },
    { "c", "other", "C", 0 },
    { "cc", "control", "Cc", 0 },
    { "cf", "format", "Cf", 0 },
    { "cn", "unassigned", "Cn", 0 },
    { "co", "privateuse", "Co", 0 },
    { "any", "any", "Any", 0 },
    { "alphabetic", "alpha", "Alphabetic", LETTER | BIT(NL) },
    { "emoji", "emoji", "Emoji", 0 },
    { "extendedpictographic", "extpict", "Extended_Pictographic", 0 },
};

typedef struct translator {
    mbr_arena *arena;
    mbr_string in;
    size_t at;
    char *out;
    size_t size, capacity;
    size_t atom;     /* where what a quantifier would repeat begins in out; SIZE_MAX: nothing */
    size_t open[100]; /* beginnings of groups */
    uint32_t depth;
    mbr_error *err;
    bool failed;     /* out of memory */
} translator;

static void put(translator *t, const char *s, size_t n)
{
    if (t->size + n + 1 > t->capacity) {
        size_t capacity = 2 * t->capacity + n + 256;
        char *bigger = mbr_arena_alloc(t->arena, capacity);
        if (!bigger) {
            t->failed = true;
            return;
        }
        if (t->size)
            memcpy(bigger, t->out, t->size);
        t->out = bigger;
        t->capacity = capacity;
    }
    memcpy(t->out + t->size, s, n);
    t->size += n;
}

static void say(translator *t, const char *s)
{
    put(t, s, strlen(s));
}

static mbr_status refuse(const translator *t, const char *what)
{
    return mbr_fail(t->err, MBR_ERR_UNSUPPORTED, "the regular expression %.*s cannot be used: %s",
                    (int)(t->in.size > 80 ? 80 : t->in.size), t->in.data, what);
}

static void put_recent(translator *t, uint32_t categories, uint32_t flags)
{
    uint32_t state = 0, first, last;
    char text[32];
    while (mbr_unicode_recent(&state, categories, flags, &first, &last)) {
        snprintf(text, sizeof text, "\\x{%x}-\\x{%x}", (unsigned)first, (unsigned)last);
        say(t, text);
    }
}

static int peek(const translator *t, size_t ahead)
{
    return t->at + ahead < t->in.size ? (unsigned char)t->in.data[t->at + ahead] : -1;
}

/* Inside of a class, or as one. */
static void put_class(translator *t, bool inside, bool negated, const char *members, uint32_t categories, uint32_t flags)
{
    if (!inside)
        say(t, negated ? "[^" : "[");
    say(t, members);
    put_recent(t, categories, flags);
    if (!inside)
        say(t, "]");
}

/* What scripts gained in Unicode 15 and 16, which PCRE2's tables may lack: the ones that expressions are made of. */
static const struct {
    const char *name, *ranges;
} recent_scripts[] = {
    { "han", "\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}" },
    { "hiragana", "\\x{1b132}" },
    { "katakana", "\\x{1b155}" },
};

/* \p{...}; t->at is behind the p. */
static mbr_status property(translator *t, bool inside, bool negated)
{
    char name[48], word[96];
    size_t n = 0, raw = 0;
    if (peek(t, 0) != '{')
        return refuse(t, "\\p without braces");
    t->at++;
    if (peek(t, 0) == '^') {
        negated = !negated;
        t->at++;
    }
    const char *from = t->in.data + t->at;
    for (; peek(t, 0) != '}'; t->at++, raw++) {
        int c = peek(t, 0);
        if (c < 0 || n + 1 >= sizeof name)
            return refuse(t, "\\p{ has no end, or a long name");
        if (c == ' ' || c == '_' || c == '-')
            continue;
        name[n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    t->at++;
    name[n] = '\0';
    for (size_t i = 0; i < MBR_COUNT_OF(properties); i++) {
        if (strcmp(name, properties[i].name) != 0 && strcmp(name, properties[i].alias) != 0)
            continue;
        if (inside && negated) {
            snprintf(word, sizeof word, "\\P{%s}", properties[i].pcre);
            say(t, word);
        } else {
            snprintf(word, sizeof word, "\\p{%s}", properties[i].pcre);
            put_class(t, inside, negated, word, properties[i].categories, 0);
        }
        return MBR_OK;
    }
    for (size_t i = 0; i < n; i++)
        if (!(name[i] >= 'a' && name[i] <= 'z'))
            return refuse(t, "a property that is not known");
    const char *recent = NULL;
    for (size_t i = 0; i < MBR_COUNT_OF(recent_scripts) && !recent; i++)
        if (strcmp(name, recent_scripts[i].name) == 0)
            recent = recent_scripts[i].ranges;
    bool opens = recent && !inside, adds = recent && !(inside && negated);
    snprintf(word, sizeof word, "%s\\%c{sc:%.*s}", !opens ? "" : negated ? "[^" : "[", negated && !opens ? 'P' : 'p',
             (int)raw, from);
    say(t, word);
    say(t, adds ? recent : "");
    say(t, opens ? "]" : "");
    return MBR_OK;
}

static mbr_status code_point(translator *t, uint32_t most_digits, bool braces)
{
    char text[24];
    uint32_t c = 0, n = 0;
    for (; n < most_digits; n++, t->at++) {
        int d = peek(t, 0);
        if (d >= '0' && d <= '9')
            c = c * 16 + (uint32_t)(d - '0');
        else if ((d | 32) >= 'a' && (d | 32) <= 'f' && d > 0)
            c = c * 16 + (uint32_t)((d | 32) - 'a' + 10);
        else
            break;
    }
    if (n == 0 || (braces && peek(t, 0) != '}') || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return refuse(t, "a code point that is none");
    t->at += braces;
    snprintf(text, sizeof text, "\\x{%x}", (unsigned)c);
    say(t, text);
    return MBR_OK;
}

/* t->at is behind the backslash. */
static mbr_status escape(translator *t, bool inside)
{
    int c = peek(t, 0);
    if (c < 0)
        return refuse(t, "a backslash at its end");
    t->at++;
    switch (c) {
    case 's':
        put_class(t, inside, false, SPACES, 0, 0);
        return MBR_OK;
    case 'S':
        put_class(t, inside, false, NO_SPACES, 0, 0);
        return MBR_OK;
    case 'd':
        put_class(t, inside, false, "\\p{Nd}", BIT(ND), 0);
        return MBR_OK;
    case 'D':
        if (inside)
            say(t, "\\P{Nd}");
        else
            put_class(t, false, true, "\\p{Nd}", BIT(ND), 0);
        return MBR_OK;
    case 'w':
        put_class(t, inside, false, WORD, 0, MBR_U_REGEX_WORD);
        return MBR_OK;
    case 'W':
        if (inside)
            return refuse(t, "\\W in a class");
        put_class(t, false, true, WORD, 0, MBR_U_REGEX_WORD);
        return MBR_OK;
    case 'h':
        say(t, inside ? "0-9a-fA-F" : "[0-9a-fA-F]");
        return MBR_OK;
    case 'H':
        if (inside)
            return refuse(t, "\\H in a class");
        say(t, "[^0-9a-fA-F]");
        return MBR_OK;
    case 'v':
        say(t, "\\x0b");
        return MBR_OK;
    case 'b':
    case 'B':
        if (inside) {
            say(t, "\\x08");
            return MBR_OK;
        }
        for (int side = 0; side < 2; side++) {
            bool word = (side == 0) == (c == 'b');
            say(t, side == 0 ? "(?:(?<=" : "|(?<!");
            put_class(t, false, false, WORD, 0, MBR_U_REGEX_WORD);
            say(t, word ? side == 0 ? ")(?!" : ")(?!" : side == 0 ? ")(?=" : ")(?=");
            put_class(t, false, false, WORD, 0, MBR_U_REGEX_WORD);
            say(t, ")");
        }
        say(t, ")");
        return MBR_OK;
    case 'p':
    case 'P':
        return property(t, inside, c == 'P');
    case 'x':
        if (peek(t, 0) == '{') {
            t->at++;
            return code_point(t, 8, true);
        }
        return code_point(t, 2, false);
    case 'u':
        return code_point(t, 4, false);
    case 'A': case 'z': case 'Z': case 'G':
        if (inside)
            return refuse(t, "an anchor in a class");
        break;
    case 'n': case 't': case 'r': case 'f': case 'a': case 'e':
        break;
    default:
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
            return refuse(t, "an escape that is not translated");
    }
    char plain[2] = { '\\', (char)c };
    if ((unsigned char)c >= 0x80) /* an escaped letter of another script is that letter */
        put(t, plain + 1, 1);
    else
        put(t, plain, 2);
    return MBR_OK;
}

/* t->at is behind the bracket. */
static mbr_status character_class(translator *t)
{
    say(t, "[");
    if (peek(t, 0) == '^') {
        say(t, "^");
        t->at++;
    }
    if (peek(t, 0) == ']') {
        say(t, "\\]");
        t->at++;
    }
    for (;;) {
        int c = peek(t, 0);
        if (c < 0)
            return refuse(t, "a class without an end");
        if (c == ']')
            break;
        if (c == '[')
            return refuse(t, "a class inside of a class");
        if (c == '&' && peek(t, 1) == '&')
            return refuse(t, "an intersection of classes");
        t->at++;
        if (c == '\\') {
            MBR_TRY(escape(t, true));
        } else {
            char byte = (char)c;
            put(t, &byte, 1);
        }
    }
    t->at++;
    say(t, "]");
    return MBR_OK;
}

/* t->at is at the bracket. */
static mbr_status group(translator *t)
{
    if (t->depth == MBR_COUNT_OF(t->open))
        return refuse(t, "groups are nested too deeply");
    t->open[t->depth++] = t->size;
    say(t, "(");
    t->at++;
    if (peek(t, 0) != '?')
        return MBR_OK;
    int c = peek(t, 1), d = peek(t, 2);
    if (c == ':' || c == '=' || c == '!' || c == '>' || (c == '<' && (d == '=' || d == '!'))) {
        size_t n = c == '<' ? 3 : 2;
        put(t, t->in.data + t->at, n);
        t->at += n;
        return MBR_OK;
    }
    if (c == '#' || c == '<' || c == '~' || c == '\'' || c == '(' || c == '|' || c == '&' || c == 'P')
        return refuse(t, "a group that is not translated");
    say(t, "?");
    for (t->at++; (c = peek(t, 0)) != ':' && c != ')'; t->at++) {
        char option = (char)(c == 'm' ? 's' : c);
        if (c != 'i' && c != 'm' && c != 'x' && c != '-')
            return refuse(t, "an option that is not translated");
        put(t, &option, 1);
    }
    if (c == ':') {
        say(t, ":");
        t->at++;
    }
    return MBR_OK;
}

/* Something in braces at t->at. */
static mbr_status braces(translator *t)
{
    size_t n = 1, digits = 0, commas = 0;
    for (; peek(t, n) >= 0 && peek(t, n) != '}'; n++) {
        int c = peek(t, n);
        digits += c >= '0' && c <= '9';
        commas += c == ',';
        if (c != ',' && !(c >= '0' && c <= '9'))
            digits = commas = 99999;
    }
    if (peek(t, n) != '}' || digits == 0 || commas > 1) { /* plain text */
        t->atom = t->size;
        say(t, "\\{");
        t->at++;
        return MBR_OK;
    }
    if (t->atom == SIZE_MAX)
        return refuse(t, "a repetition of nothing");
    int behind = peek(t, n + 1);
    bool again = behind == '+';
    if (behind == '?' && commas == 0)
        return refuse(t, "{n}?");
    if (again) {
        size_t moved = t->size - t->atom;
        say(t, "   ");
        if (t->failed)
            return MBR_OK;
        memmove(t->out + t->atom + 3, t->out + t->atom, moved);
        memcpy(t->out + t->atom, "(?:", 3);
    }
    if (peek(t, 1) == ',') {
        say(t, "{0");
        put(t, t->in.data + t->at + 1, n);
    } else {
        put(t, t->in.data + t->at, n + 1);
    }
    t->at += n + 1;
    if (again) {
        say(t, ")+");
        t->at++;
    } else if (behind == '?') {
        say(t, "?");
        t->at++;
    }
    return MBR_OK;
}

mbr_status mbr_regex_translate(mbr_arena *arena, mbr_string text, const char **out, mbr_error *err)
{
    translator t = { .arena = arena, .in = text, .atom = SIZE_MAX, .err = err };
    *out = NULL;
    if (text.size > 65536)
        return mbr_fail(err, MBR_ERR_LIMIT, "a regular expression of %zu bytes", text.size);
    say(&t, "");
    while (t.at < text.size && !t.failed) {
        int c = peek(&t, 0);
        size_t before = t.size;
        switch (c) {
        case '\\':
            t.at++;
            t.atom = before;
            MBR_TRY(escape(&t, false));
            break;
        case '[':
            t.at++;
            t.atom = before;
            MBR_TRY(character_class(&t));
            break;
        case '(':
            MBR_TRY(group(&t));
            t.atom = SIZE_MAX;
            break;
        case ')':
            if (t.depth == 0)
                return refuse(&t, "a bracket that nothing opened");
            t.atom = t.open[--t.depth];
            say(&t, ")");
            t.at++;
            break;
        case '{':
            MBR_TRY(braces(&t));
            break;
        case '\0':
            say(&t, "\\x00");
            t.at++;
            t.atom = before;
            break;
        default: {
            char byte = (char)c;
            if (c != '*' && c != '+' && c != '?' && ((unsigned)c & 0xc0) != 0x80)
                t.atom = c == '|' ? SIZE_MAX : before;
            put(&t, &byte, 1);
            t.at++;
        }
        }
    }
    if (t.failed)
        return mbr_no_memory(err, text.size);
    t.out[t.size] = '\0';
    *out = t.out;
    return MBR_OK;
}
