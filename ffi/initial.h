/* Values to begin with for structures that carry their version. */
#define MDNA_OPEN_OPTIONS_INIT { MDNA_OPEN_OPTIONS_VERSION, MDNA_DURABILITY_SYNC, MDNA_OWNERSHIP_ANY, 5000, NULL }
#define MDNA_CREATE_OPTIONS_INIT { MDNA_CREATE_OPTIONS_VERSION, MDNA_DURABILITY_SYNC, NULL }
#define MDNA_PRUNE_OPTIONS_INIT { MDNA_PRUNE_OPTIONS_VERSION, 0, 0, 0, 0 }
#define MDNA_MOUNT_OPTIONS_INIT { MDNA_MOUNT_OPTIONS_VERSION, 0, 0, 0 }
#define MDNA_RETENTION_INIT { MDNA_RETENTION_VERSION, 0, 0, 0, 0, 0, 0 }
#define MDNA_S3_LIMITS_INIT { MDNA_S3_LIMITS_VERSION, 0, 0, 0, 0, 0 }
/* A mdna_string that holds nothing, and may be freed. */
#define MDNA_STRING_INIT { NULL, 0 }

/*
 * Before each function that can fail: the compiler warns when nobody looks at the status. Define it as nothing before the
 * header is included to have no warnings.
 */
#ifndef MDNA_MUST_USE
#if (defined(__cplusplus) && __cplusplus >= 201703L) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L)
#define MDNA_MUST_USE [[nodiscard]]
#elif defined(__GNUC__)
#define MDNA_MUST_USE __attribute__((warn_unused_result))
#else
#define MDNA_MUST_USE
#endif
#endif
