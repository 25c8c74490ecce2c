# Every shell can read its completion script; fish completes with it.
for shell in bash zsh fish; do
    tailmac completion $shell >script
    $shell -n script && echo "$shell reads it"
done
fish -c 'source script; complete -C "tailmac re"; complete -C "tailmac run a --wait "' | cut -f1
