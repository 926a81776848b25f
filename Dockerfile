# Two stages: everything that builds, then only what runs.
#
#	docker build -t hearth .
#	docker run --rm --privileged --pid=host --network=host --cgroupns=host \
#		-v hearth:/var/lib/hearth hearth
#
# then open http://127.0.0.1:4040/. It samples the whole machine, hence --privileged and the
# machine's own process ids; it listens on loopback only, hence the machine's own network.
FROM debian:bookworm-slim AS build
WORKDIR /src
COPY dev ./
RUN apt-get update \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
		$(./dev packages build) $(./dev packages node) \
	&& rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release -DBUILD_TESTING=OFF \
	&& ninja -C build/release --quiet \
	&& DESTDIR=/out cmake --install build/release --prefix /usr \
	&& strip --strip-debug /out/usr/bin/hearth

FROM debian:bookworm-slim
RUN apt-get update \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
		ca-certificates libbpf1 libcap2 libcurl4 libdebuginfod1 libelf1 libinih1 libjansson4 \
		liblzma5 libmicrohttpd12 libpcre2-8-0 libprotobuf-c1 libsqlite3-0 libzstd1 zlib1g \
	&& rm -rf /var/lib/apt/lists/*
COPY --from=build /out/usr/bin/hearth /usr/bin/hearth
VOLUME /var/lib/hearth
EXPOSE 4040
ENTRYPOINT ["/usr/bin/hearth"]
CMD ["serve"]
