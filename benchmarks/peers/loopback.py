"""A surrounding for libraries that open ports: a network of their own with only loopback, and nothing outlives it.

Linux's namespaces give it, to any user where the system allows. Ray binds all interfaces otherwise, and its servers
outlive a driver that is killed.
"""

LOOPBACK_ONLY = (
    *("unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("sh", "-c", 'ip link set lo up && exec "$@"', "sh"),
)
