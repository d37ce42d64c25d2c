import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** Serves OpenSearch's HTTP API on 127.0.0.1:PORT out of DIRECTORY until it is terminated: {@code OpenSearchServer PORT DIRECTORY}. */
public final class OpenSearchServer extends Node {
    private OpenSearchServer(Environment environment) {
        super(environment, List.of(Netty4Plugin.class), true);
    }

    public static void main(String[] arguments) throws Exception {
        Settings settings = Settings.builder()
                .put("path.home", Path.of(arguments[1]).toString())
                .put("http.port", arguments[0])
                .put("network.host", "127.0.0.1")
                .put("transport.port", "0")
                .put("discovery.type", "single-node")
                .put("cluster.routing.allocation.disk.threshold_enabled", false)
                .put("action.auto_create_index", false)
                .build();
        Environment environment =
                InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "one");
        OpenSearchServer server = new OpenSearchServer(environment);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                server.close();
            } catch (java.io.IOException error) {
                System.err.println(error);
            }
        }));
        server.start();
        System.out.println("ready " + arguments[0]);
        new CountDownLatch(1).await();
    }
}
