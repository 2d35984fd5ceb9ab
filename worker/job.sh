# The job: lines `key=value`. Nothing in it is ever evaluated: each value becomes a file of its own, named by its key.
#
# job_load(file): splits the job into ${state}/job, checks every value (job.awk has the grammar) and sets the job_… variables.
#     Prints nothing; fails with BadJob that names every key that is wrong.
# job_get(key): sets ${value}; the key must be there.
# job_has(key): true if the job has the key.
# layout_of(content): sets the part_… variables to the first partition with that content; false if the disk has none.
# layout_at(index): the same for the partition with that number.

# read -r keeps backslashes, an empty IFS keeps blanks: the value is exactly the bytes after the first '='.
job_get() {
	IFS= read -r value <"${state:?}/job/$1"
}

job_has() {
	[ -e "${state:?}/job/$1" ]
}

job_load() {
	mkdir "${state:?}/job"
	if [ ! -r "$1" ]; then
		fail BadJob "the job $1 cannot be read" 'give --job a readable file'
	fi
	JOB_STATE=${state} awk -f "${worker}/job.awk" <"$1" >"${state}/job.problems"
	{
		IFS= read -r value
		job_build=${value:-${job_build}}
		IFS= read -r value
		job_linger=${value:-${job_linger}}
	} <"${state}/job.first"
	if [ -s "${state}/job.problems" ]; then
		IFS= read -r value <"${state}/job.problems"
		fail BadJob "the job is not valid: ${value}" 'the factory and the worker must be of one version; report this job'
	fi

	job_get deadline
	job_deadline=${value}
	job_get architecture
	job_architecture=${value}
	job_get filesystem
	job_filesystem=${value}
	job_get system
	job_system=${value}
	job_get timestamp
	job_timestamp=${value}
	job_get filesystem.id
	job_filesystem_id=${value}
	job_get disk.size
	job_disk_size=${value}
	job_get disk.id
	job_disk_id=${value}
	job_get mirror.count
	job_mirrors=${value}
	job_get set.count
	job_sets=${value}
	job_get file.count
	job_files=${value}
	job_get edit.count
	job_edits=${value}
	job_get group.count
	job_groups=${value}
	job_get user.count
	job_users=${value}
	job_get update
	job_update=${value}
	job_get package.count
	job_packages=${value}
	job_get repository.count
	job_repositories=${value}
	job_get script.count
	job_scripts=${value}
	job_get partition.count
	job_partitions=${value}
	job_datasets=0
	if [ "${job_filesystem}" = zfs ]; then
		job_get dataset.count
		job_datasets=${value}
	fi
}

layout_of() {
	while read -r part_index part_type part_label part_start part_size part_id part_content; do
		[ "${part_content}" != "$1" ] || return 0
	done <"${state}/layout"
	return 1
}

layout_at() {
	while read -r part_index part_type part_label part_start part_size part_id part_content; do
		[ "${part_index}" != "$1" ] || return 0
	done <"${state}/layout"
	return 1
}
