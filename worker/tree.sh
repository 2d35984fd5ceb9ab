# Places in the staging tree. A path is the job's and the links are the release's or a package's: neither may lead out.
#
# tree_place(path, key, code): walks down to the parent of path, making what is missing (0755, root:wheel); sets
#     ${tree_directory}, a directory of the tree without a link in it, and ${tree_name}, the last part, which may be anything.
#     Links are followed as the image's own kernel would: an absolute one, and `..` at the root, begin at the tree. Fails
#     with the code, naming the key, if the path has a file where a directory must be or too many links.

# MAXSYMLINKS of FreeBSD's sys/param.h.
tree_links=32

tree_place() {
	tree_directory=${tree:?}
	tree_name=${1#/}
	_tree_links=0
	while :; do
		case ${tree_name} in
		/*)
			tree_name=${tree_name#/}
			continue
			;;
		*/*) ;;
		*) break ;;
		esac
		_tree_part=${tree_name%%/*}
		tree_name=${tree_name#*/}
		case ${_tree_part} in
		.) continue ;;
		..)
			[ "${tree_directory}" = "${tree}" ] || tree_directory=${tree_directory%/*}
			continue
			;;
		esac
		_tree_next=${tree_directory}/${_tree_part}
		if [ -L "${_tree_next}" ]; then
			_tree_links=$((_tree_links + 1))
			if [ "${_tree_links}" -gt "${tree_links}" ]; then
				fail "$3" "$2 goes through more than ${tree_links} symbolic links" 'name the place that the links stand for'
			fi
			_tree_target=$(readlink "${_tree_next}")
			case ${_tree_target} in
			/*) tree_directory=${tree} ;;
			esac
			tree_name=${_tree_target}/${tree_name}
			continue
		elif [ ! -e "${_tree_next}" ]; then
			mkdir "${_tree_next}"
			platform_made directory "${_tree_next}" 0755 0 0
		elif [ ! -d "${_tree_next}" ]; then
			fail "$3" "$2 has a parent that is a file" 'choose another path'
		fi
		tree_directory=${_tree_next}
	done
}
