"""What SQL of a user may hold: functions, forms and characters; and the words that it may not, by what they ask for."""

import re


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set of names."""
    return frozenset(text.split())


# Functions, as DuckDB calls them: each gives the same answer for the same arguments, always. Left out is what
# asks for the clock in one of its forms (age) or changes with the release (hash, approx_*).
ARITHMETIC = words("""
    abs ceil ceiling floor round round_even trunc sign sqrt cbrt exp ln log log2 log10 pow power mod
    fmod fdiv greatest least radians degrees sin cos tan cot asin acos atan atan2 pi factorial gamma
    lgamma gcd lcm isnan isinf isfinite bit_count xor""")
CONDITIONALS = words("""
    coalesce ifnull nullif if cast try_cast typeof""")
AGGREGATES = words("""
    sum avg mean min max count count_if countif bool_and bool_or bit_and bit_or bit_xor median
    quantile quantile_cont quantile_disc percentile_cont percentile_disc mad stddev stddev_pop
    stddev_samp variance var_pop var_samp skewness kurtosis kurtosis_pop sem corr covar_pop
    covar_samp regr_slope regr_intercept regr_r2 regr_count entropy product histogram arg_min
    arg_max min_by max_by argmin argmax geometric_mean geomean fsum kahan_sum sumkahan favg
    weighted_avg wavg grouping grouping_id""")
# They take whichever row comes first, and which one that is depends on threads: an ORDER BY has to decide.
ORDERED_AGGREGATES = words("""
    first last any_value arbitrary list array_agg string_agg group_concat listagg mode""")
WINDOW_FUNCTIONS = words("""
    row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value
    nth_value""")
DATES = words("""
    date_trunc datetrunc date_part datepart extract date_diff datediff date_sub datesub date_add
    make_date make_timestamp make_time last_day dayname monthname year quarter month week weekofyear
    day dayofmonth dayofweek dayofyear isodow isoyear weekday yearweek hour minute second
    millisecond microsecond decade century epoch epoch_ms strftime strptime try_strptime time_bucket
    to_days to_weeks to_months to_quarters to_years to_hours to_minutes to_seconds to_timestamp
    days_in_month timezone""")
TEXT = words("""
    lower upper lcase ucase trim ltrim rtrim length len strlen char_length character_length concat
    concat_ws left right substr substring replace translate reverse repeat lpad rpad split_part
    string_split str_split string_to_array contains starts_with prefix suffix ends_with position
    strpos instr overlay regexp_matches regexp_full_match regexp_replace regexp_extract
    regexp_extract_all regexp_split_to_array strip_accents ascii chr unicode ord md5 sha1 sha256 hex
    printf format levenshtein damerau_levenshtein jaccard jaro_similarity jaro_winkler_similarity
    hamming""")
LISTS = words("""
    list_value list_contains list_has array_contains list_position list_extract list_element
    element_at array_extract list_slice list_sort list_reverse_sort list_distinct list_unique
    list_concat list_append list_prepend list_transform list_apply list_filter list_reduce list_sum
    list_avg list_min list_max list_count list_median list_reverse list_zip list_intersect flatten
    array_length cardinality array_to_string map map_keys map_values map_extract map_entries
    struct_pack struct_extract row json_extract json_extract_string""")
TABLE_FUNCTIONS = words("""
    unnest range generate_series""")
FUNCTIONS = (
    ARITHMETIC | CONDITIONALS | AGGREGATES | ORDERED_AGGREGATES | WINDOW_FUNCTIONS | DATES | TEXT | LISTS
) | TABLE_FUNCTIONS

# Classes of sqlglot.exp; functions that are called by name may be of any class, for their name was checked.
NODES = (
    # statements and their clauses
    words("""
        Select From Where Group Having Qualify Order Ordered Limit Offset Fetch Distinct With CTE
        Subquery Union Except Intersect Join Table TableAlias Alias Aliases Values Tuple Lateral Unnest
        Explode Star Window WindowSpec Filter WithinGroup IgnoreNulls RespectNulls Rollup Cube
        GroupingSets WithFill""")
    # operators
    | words("""
        Add Sub Mul Div IntDiv Mod Pow Neg Paren EQ NEQ GT GTE LT LTE Is Not And Or Xor In Between Like
        ILike Glob SimilarTo RegexpLike Escape NullSafeEQ NullSafeNEQ BitwiseAnd BitwiseOr BitwiseXor
        BitwiseNot BitwiseLeftShift BitwiseRightShift DPipe Exists Any All Abs""")
    # values, names and types
    | words("""
        Column Identifier Dot Literal Null Boolean Var Interval IntervalSpan DataType DataTypeParam
        ColumnDef AtTimeZone Array Bracket Slice Struct PropertyEQ Kwarg Lambda Comprehension ToMap
        JSONExtract JSONExtractScalar JSONPath JSONPathRoot JSONPathKey JSONPathSubscript""")
    # functions with a syntax of their own, which sqlglot builds without the place of their name
    | words("""
        Case If Cast TryCast Coalesce Extract Ceil Floor Min Max Quantile PercentileCont PercentileDisc
        ArgMin ArgMax AnyValue GroupConcat Trim Substring StrPosition Chr Map Overlay Concat""")
)

# What may stand before a parenthesis without being called.
SYNTAX = words("""
    ALL AND ANY AS BETWEEN BY CASE CUBE DECIMAL DISTINCT ELSE EXCEPT EXCLUDE EXISTS FILTER FROM
    HAVING IN INTERSECT INTERVAL JOIN LIKE ILIKE LIMIT MATERIALIZED NAME NOT NUMERIC OFFSET ON OR OVER
    QUALIFY RENAME REPLACE ROLLUP SELECT SETS SOME STRUCT THEN UNION USING VALUES VARCHAR WHEN WHERE
    GROUP LATERAL""")

CLOCK_WORDS = words("""
    now today current_date current_time current_timestamp current_datetime get_current_time
    get_current_timestamp localtime localtimestamp current_localtime current_localtimestamp
    transaction_timestamp statement_timestamp clock_timestamp age ago""")
RANDOM_WORDS = words("""
    random rand setseed uuid uuidv4 uuidv7 gen_random_uuid tablesample reservoir_quantile""")
FILE_WORDS = re.compile(r"read_\w+|\w+_scan\w*|glob|sniff_csv|parquet_\w+|getenv|which_secret")
EFFECT_WORDS = words("""
    nextval currval query query_table getvariable write_log pg_sleep set_config""")
SURROUNDINGS_WORDS = words("""
    user current_user session_user current_role current_catalog current_database current_schema
    current_schemas current_setting current_query version rowid""")
# These mean something without a parenthesis, even between quotation marks: DuckDB reads "current_date" as the
# clock where no column has that name.
BARE_WORDS = SURROUNDINGS_WORDS - {"version"} | {word for word in CLOCK_WORDS if word.startswith(("current", "local"))}

PARTS_OF_NAMES = words("Lu Ll Lt Lm Lo Mn Mc")
"""Categories of Unicode of which a name is made in every reader, beside ASCII."""
CLOCK_TEXTS = re.compile(r"\s*(now|today|tomorrow|yesterday)\b\s*[\w/+:.-]*\s*", re.IGNORECASE)
"""Texts that Spark reads as times, a zone behind them or not."""
ENGINE_TABLES = re.compile(
    # FROM (SHOW tables) is to sqlglot a table called show
    r"(duckdb|pg|sqlite|pragma|information_schema)(_.*)?|geometry_columns|spatial_ref_sys"
    r"|show|describe|summarize"
)
