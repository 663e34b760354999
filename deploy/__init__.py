"""What is shipped: the image, the services of Google Cloud, the pipeline; nothing of it runs inside the platform.

`python -m deploy` lists the commands. Where is what:

    Dockerfile, entrypoint.sh   the one image of all roles
    cloud_run/                  typed models and roles, from which `make deploy-render` writes the two folders below
    gcp/, staging/              dagster.yaml, one manifest a role, names and rights for Terraform: rendered, committed
    terraform/                  what has to be there before the first release
    cloudbuild.yaml, ...        the pipeline and its scripts

It is a package beside `mlops_assets` because people and the pipeline use it, never the platform; the image leaves it
out.
"""
