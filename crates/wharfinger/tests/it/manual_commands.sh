# The machine on which a page of the manual is tried: every command as it is printed, at the paths that are printed.
# It runs in network, process and mount namespaces of its own. T is the test's directory, PROGRAM the binary under test.
set -euo pipefail

mkdir -p "$T"/{bin,work,home,var/lib/wharfinger,var/backups,var/tmp,etc,srv,mnt,local}
cp -a /etc/. "$T/etc" 2>/dev/null || true
ln -s /run "$T/var/run"
for directory in var etc srv mnt; do mount --bind "$T/$directory" "/$directory"; done
mount --bind "$T/local" /usr/local/bin
printf '127.0.0.1 localhost registry.example.com auth.example.com\n' >/etc/hosts
rmdir /var/lib/wharfinger

# What the manual calls `wharfinger` starts a server in the background, and has the answers for what asks on a terminal.
cat >"$T/bin/wharfinger" <<END
#!/bin/bash
T=$T
end() { [ ! -e "\$T/pid" ] || { kill "\$(cat "\$T/pid")" 2>/dev/null && tail --pid="\$(cat "\$T/pid")" -f /dev/null; rm -f "\$T/pid"; }; }
name=\$(basename "\$0")
program=$PROGRAM
[ "\$name" != docker-registry ] || program=/usr/bin/docker-registry
case \${1-} in
    serve | up)
        end
        : >"\$T/server.log"
        (exec -a "\$0" "\$program" "\$@") </dev/null >>"\$T/server.log" 2>&1 &
        echo \$! >"\$T/pid"
        for _ in \$(seq 600); do
            ! grep -q 'listening' "\$T/server.log" || break
            kill -0 "\$(cat "\$T/pid")" 2>/dev/null || break
            sleep 0.05
        done
        grep -q 'listening' "\$T/server.log" || { cat "\$T/server.log" >&2; exit 1; }
        password=\$(sed -n 's/.*Password of the user admin: \([^ ]*\).*/\1/p' "\$T/server.log" | head -n 1)
        [ -z "\$password" ] || echo "\$password" >"\$T/work/password"
        ;;
    passwd)
        echo 'a new password' >"\$T/work/password"
        exec -a "\$0" "\$program" "\$@" --password-stdin <"\$T/work/password"
        ;;
    user) case \${2-} in
        add | passwd) exec -a "\$0" "\$program" "\$@" --password-stdin <<<'a new password' ;;
        *) exec -a "\$0" "\$program" "\$@" ;;
    esac ;;
    hash) echo 'a new password' | exec -a "\$0" "\$program" "\$@" ;;
    login) case " \$* " in
        *" --password-stdin "*) exec -a "\$0" "\$program" "\$@" ;;
        *) exec -a "\$0" "\$program" "\$@" --password-stdin <"\$T/work/password" ;;
    esac ;;
    *) exec -a "\$0" "\$program" "\$@" ;;
esac
END
chmod +x "$T/bin/wharfinger"
ln -s wharfinger "$T/bin/docker-registry"
export PATH=$T/bin:/usr/local/bin:$PATH HOME=$T/home TMPDIR=/var/tmp
unset DOCKER_CONFIG REGISTRY_AUTH_FILE XDG_RUNTIME_DIR STATE_DIRECTORY
cd "$T/work"
cp "$IMAGE" app.tar
