# Sourced by the other scripts: one target folder outside the checkout, so that RocksDB is compiled once.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/mirrordna-target}"
# pjdfstest and fsx are installed here by `scripts/setup.sh tests`, and found here by scripts/fs-tests.sh and the tests.
export FS_TESTS_TOOLS="${FS_TESTS_TOOLS:-$HOME/.cache/mirrordna-fs-tests}"
# SeaweedFS, the S3 server of the tests, is installed here by `scripts/setup.sh tests`.
export S3_TESTS_TOOLS="${S3_TESTS_TOOLS:-$HOME/.cache/mirrordna-s3-tests}"
