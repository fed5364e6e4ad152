/* Values to begin with for structures that carry their version. */
#define MDNA_OPEN_OPTIONS_INIT { MDNA_OPEN_OPTIONS_VERSION, MDNA_DURABILITY_SYNC, MDNA_OWNERSHIP_ANY, 5000, NULL }
#define MDNA_CREATE_OPTIONS_INIT { MDNA_CREATE_OPTIONS_VERSION, MDNA_DURABILITY_SYNC, NULL }
#define MDNA_PRUNE_OPTIONS_INIT { MDNA_PRUNE_OPTIONS_VERSION, 0, 0, false, false }
#define MDNA_MOUNT_OPTIONS_INIT { MDNA_MOUNT_OPTIONS_VERSION, false, false, false }
#define MDNA_RETENTION_INIT { MDNA_RETENTION_VERSION, 0, 0, 0, 0, 0, 0 }
/* A mdna_string that holds nothing, and may be freed. */
#define MDNA_STRING_INIT { NULL, 0 }
