# Three Debian packages by CPack: `deploy/debian/build` makes them. Included at
# the end of CMakeLists.txt, whose install rules name the components.
set(DEBIAN_MAINTAINER "urlsum developers <urlsum@example.org>" CACHE STRING
    "Who is named in Debian packages: NAME <ADDRESS>")
# Below 1: a package by Debian itself would be newer.
set(DEBIAN_RELEASE 0urlsum1)
set(DEBIAN_VERSION ${PROJECT_VERSION}-${DEBIAN_RELEASE})
set(DEBIAN_DIR ${PROJECT_SOURCE_DIR}/deploy/debian)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME urlsum)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # each has its own
set(CPACK_PACKAGE_CONTACT ${DEBIAN_MAINTAINER})
set(CPACK_SET_DESTDIR ON) # the prefix is the build's: /usr
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${DEBIAN_DIR}/compress.cmake)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL urlsum urlsum-broker urlsum-worker)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SOURCE urlsum)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${DEBIAN_RELEASE})
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

string(TIMESTAMP DEBIAN_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH if set
string(SUBSTRING ${RELEASE_DATE} 0 4 DEBIAN_YEAR)
configure_file(${DEBIAN_DIR}/copyright.in debian/copyright @ONLY)
configure_file(${DEBIAN_DIR}/changelog.in debian/changelog.Debian @ONLY)

# What a component brings besides programs and manuals, and how its scripts treat
# the units of deploy/systemd that it has. purge: a shell command, for `apt purge`.
function(debian_package name purge)
    set(doc ${CMAKE_INSTALL_DATADIR}/doc/${name})
    install(FILES ${PROJECT_BINARY_DIR}/debian/copyright
                  ${PROJECT_BINARY_DIR}/debian/changelog.Debian
            DESTINATION ${doc} COMPONENT ${name})
    install(FILES CHANGELOG.md DESTINATION ${doc} RENAME changelog COMPONENT ${name})
    set(names ${ARGN})
    foreach(unit IN LISTS names)
        if(NOT EXISTS ${PROJECT_SOURCE_DIR}/deploy/systemd/${unit})
            list(REMOVE_ITEM names ${unit})
        endif()
    endforeach()
    if(NOT names AND NOT purge)
        return() # nothing for scripts to do
    endif()
    foreach(unit IN LISTS names)
        install(FILES deploy/systemd/${unit} DESTINATION lib/systemd/system COMPONENT ${name})
    endforeach()
    list(JOIN names " " units)
    string(REPLACE "@." "@*." running "${units}") # every instance of a template
    foreach(script IN ITEMS postinst prerm postrm)
        configure_file(${DEBIAN_DIR}/${script}.in debian/${name}/${script} @ONLY)
        list(APPEND scripts ${PROJECT_BINARY_DIR}/debian/${name}/${script})
    endforeach()
    string(TOUPPER ${name} upper)
    set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA "${scripts}" PARENT_SCOPE)
endfunction()

# The store is where StateDirectory of a dynamic user has it.
debian_package(urlsum-broker "rm -rf /var/lib/urlsum /var/lib/private/urlsum"
               urlsum-broker.service)
debian_package(urlsum-worker "" urlsum-fetcher.service urlsum-hasher@.service)
debian_package(urlsum "")

set(CPACK_DEBIAN_URLSUM_PACKAGE_NAME urlsum)
set(CPACK_DEBIAN_URLSUM_DESCRIPTION "sha512sum for URLs, from one page to a hundred million
urlsum downloads URLs concurrently, computes any digests that OpenSSL offers
while the bodies arrive, and prints the lines of sha512sum. Lists and bodies
may be of any length. It needs nothing else, or gives its list to a broker
(urlsum-broker) whose fetchers and hashers (urlsum-worker) run on any number
of hosts.")
set(CPACK_DEBIAN_URLSUM_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_URLSUM_PACKAGE_SUGGESTS urlsum-broker)

set(CPACK_DEBIAN_URLSUM-BROKER_PACKAGE_NAME urlsum-broker)
set(CPACK_DEBIAN_URLSUM-BROKER_DESCRIPTION "sha512sum for URLs: the broker of a fleet
urlsum downloads URLs concurrently and prints the digests of their bodies.
The broker keeps a durable queue of URLs and their results, hands work to
fetchers and hashers on any number of hosts, and bounds how hard each origin
is asked.")
set(CPACK_DEBIAN_URLSUM-BROKER_PACKAGE_RECOMMENDS urlsum)
set(CPACK_DEBIAN_URLSUM-BROKER_PACKAGE_SUGGESTS urlsum-worker)

set(CPACK_DEBIAN_URLSUM-WORKER_PACKAGE_NAME urlsum-worker)
set(CPACK_DEBIAN_URLSUM-WORKER_DESCRIPTION "sha512sum for URLs: fetcher and hasher of a fleet
urlsum downloads URLs concurrently and prints the digests of their bodies.
Of the workers urlsum-fetcher downloads and urlsum-hasher computes digests;
any number of both work for a broker (urlsum-broker) on this host or another.")
set(CPACK_DEBIAN_URLSUM-WORKER_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_URLSUM-WORKER_PACKAGE_SUGGESTS urlsum-broker)
include(CPack)
