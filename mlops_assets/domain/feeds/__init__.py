"""From delivered files to homologated partitions: contracts, metadata validation, homologation, landing."""
